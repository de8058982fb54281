"""Records of JSON documents against json.loads."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.proposals.json_records import json_records

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=6), st.sampled_from([None, 1, "\t"]))
def test_json_records_are_those_of_json_loads(document, indent):
    text = f"\n {json.dumps(document, indent=indent)} \r\n"
    expected = [
        (key, index, element)
        for key, value in document.items()
        if isinstance(value, list)
        for index, element in enumerate(value)
    ]
    assert list(json_records(text)) == expected


@given(st.text(alphabet='{}[]",: 1ea\\n', max_size=24))
def test_json_records_refuse_what_json_loads_refuses(text):
    try:
        valid = isinstance(json.loads(text), dict)
    except json.JSONDecodeError:
        valid = False
    if valid:
        list(json_records(text))
    else:
        with pytest.raises(json.JSONDecodeError):
            list(json_records(text))
