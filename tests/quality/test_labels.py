"""Files of labels, good and bad, against a real dataset."""

import copy
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import duckdb
import hypothesis.strategies as st
import numpy as np
import pytest
import yaml
from hypothesis import given

from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.errors import UserError
from pipeline.quality.label_document import parse_labels
from pipeline.quality.labels import Label, Labels, Stratum, check_labels, read_labels
from tests.report.made_dataset import make_dataset

KEYS = [f"000000-00000-{pair:03d}" for pair in range(4)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pairs in two shards."""
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder, ["dog", "cat", "sofa", "lamp", "tree"], shards=2, images_per_shard=6)
    return folder


def opened(folder: Path) -> MinedDataset:
    return open_mined_dataset(str(folder))


def document(folder: Path) -> dict:
    """As the page writes it: of two strata, four pairs labelled."""
    manifests = sorted((folder / "manifests").iterdir())
    digests = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in manifests)
    nouns = dict(duckdb.sql(f"select key, noun from '{folder}/manifests/*.parquet'").fetchall())
    answers = ("right", "wrong", "unclear", "right")
    return {
        "format": "ovseg-labels",
        "version": 1,
        "dataset": {
            "uri": str(folder),
            "fingerprint": "0" * 64,
            "manifests_sha256": hashlib.sha256(digests.encode()).hexdigest(),
        },
        "sample": {
            "seed": 3,
            "strata": [{"name": "rare nouns", "pairs": 10, "drawn": 3}, {"name": "others", "pairs": 30, "drawn": 2}],
        },
        "labels": [
            {"key": key, "noun": nouns[key], "stratum": number // 2, "answer": answer}
            for number, (key, answer) in enumerate(zip(KEYS, answers, strict=True))
        ],
    }


def written(folder: Path, content: object) -> str:
    path = folder / "labels.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_labels_are_read_and_found_in_the_dataset(dataset: Path, tmp_path: Path):
    content = document(dataset)
    uri = written(tmp_path, content)
    labels = read_labels(uri)
    assert labels.strata == (Stratum("rare nouns", 10, 3), Stratum("others", 30, 2))
    assert [label.answer for label in labels.labels] == ["right", "wrong", "unclear", "right"]
    assert labels.labels[2] == Label(KEYS[2], content["labels"][2]["noun"], 1, "unclear")
    assert labels.sha256 == hashlib.sha256(Path(uri).read_bytes()).hexdigest()
    assert (labels.seed, labels.dataset_uri, labels.remarks) == (3, str(dataset), [])
    keys = duckdb.sql(f"select key from '{dataset}/manifests/*.parquet' order by key").fetchnumpy()["key"]
    rows = check_labels(labels, opened(dataset))
    assert keys[rows].tolist() == KEYS
    assert rows.dtype == np.int64


def test_the_same_twice_counts_once_and_is_told(dataset: Path, tmp_path: Path):
    content = document(dataset)
    content["labels"] += content["labels"][:2]
    labels = read_labels(written(tmp_path, content))
    assert [label.key for label in labels.labels] == KEYS
    [remark] = labels.remarks
    assert "2 labels stand there twice" in remark
    assert len(check_labels(labels, opened(dataset))) == 4


def test_a_dataset_that_has_changed(dataset: Path, tmp_path: Path):
    labels = read_labels(written(tmp_path, document(dataset)))
    other = tmp_path / "other"
    shutil.copytree(dataset, other)
    assert len(check_labels(labels, opened(other))) == 4  # moved, but the same
    shutil.copy(other / "manifests" / "000001.parquet", tmp_path)
    (other / "manifests" / "000001.parquet").unlink()
    with pytest.raises(UserError, match=r"is not as it was when the sample was drawn.*--label"):
        check_labels(labels, opened(other))
    shutil.copy(tmp_path / "000001.parquet", other / "manifests")
    (other / "manifests" / "000000.parquet").unlink()
    with pytest.raises(UserError, match="4 of the 4 labelled pairs are not in it: 000000-00000-000"):
        check_labels(labels, opened(other))
    description = yaml.safe_load((other / "config.yaml").read_text())
    (other / "config.yaml").write_text(yaml.safe_dump(description | {"fingerprint": "1" * 64}))
    with pytest.raises(UserError, match=r"of another dataset than .*0000000000000000….*1111111111111111…"):
        check_labels(labels, opened(other))


def edited(change: Callable[[dict], object]) -> Callable[[dict], dict]:
    def apply(content: dict) -> dict:
        change(content)
        return content

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["labels"][0].update(noun="zebra"), r"000000-00000-000 is of '\w+', not 'zebra'"),
        (lambda c: c["labels"][0].update(key="000001-00099-000"), "1 of the 4 labelled pairs are not in it: 000001"),
        (lambda c: c["sample"]["strata"][0].update(pairs=11), "its strata hold 41 pairs, and the dataset has 40"),
        (lambda c: c["sample"]["strata"].pop(), r"labels\[2\]\.stratum is 1, and there are 1 strata"),
        (lambda c: c["labels"].append({**c["labels"][0], "answer": "wrong"}), r"labels\[4\] says of 0.* wrong"),
        (lambda c: c["labels"].append({**c["labels"][0], "stratum": 1}), r"says of .* stratum 1\), another"),
        (lambda c: c["labels"][1].update(answer="maybe"), r"labels\[1\]\.answer is 'maybe', not one of right, wrong"),
        (lambda c: c["labels"][1].update(answer=["right"]), r"labels\[1\]\.answer is a list of 1"),
        (lambda c: c["labels"][1].pop("answer"), r"labels\[1\]\.answer is missing"),
        (lambda c: c["labels"][1].update(stratum=-1), r"labels\[1\]\.stratum is -1, not a whole"),
        (lambda c: c["labels"][1].update(stratum=True), r"labels\[1\]\.stratum is True"),
        (lambda c: c["labels"][1].update(stratum=0.5), r"labels\[1\]\.stratum is 0\.5"),
        (lambda c: c["labels"][1].update(key="../../x"), r"labels\[1\]\.key is '\.\./\.\./x'"),
        (lambda c: c["labels"][1].update(key=f"{KEYS[1]}\n"), r"labels\[1\]\.key is '000000-00000-001\\n'"),
        (lambda c: c["labels"][1].update(noun=7), r"labels\[1\]\.noun is 7"),
        (lambda c: c["labels"][1].update(noun="\ud800"), r"labels\[1\]\.noun is '\\\\?ud800'"),
        (lambda c: c["labels"].insert(0, "right"), r"labels\[0\] is 'right', not an object"),
        (lambda c: c.update(labels={}), "labels is an object of 0, not a list"),
        (lambda c: c["sample"]["strata"][0].update(drawn=11), r"of sample\.strata\[0\] 11 pairs were drawn, of 10"),
        (lambda c: c["sample"]["strata"][0].update(drawn=0), r"of sample\.strata\[0\] 0 pairs"),
        (lambda c: c["sample"]["strata"][0].update(drawn=1), "than pairs were drawn: 2 of stratum 0, of which 1"),
        (lambda c: c["sample"]["strata"][0].update(pairs=10**30), "pairs is 1000000"),
        (lambda c: c["sample"].update(seed="x"), r"sample\.seed is 'x'"),
        (lambda c: c.pop("sample"), "sample is missing or null, not an object"),
        (lambda c: c["dataset"].update(fingerprint="0" * 63), r"dataset\.fingerprint is '000"),
        (lambda c: c["dataset"].update(manifests_sha256=None), r"dataset\.manifests_sha256 is missing"),
        (lambda c: c["dataset"].update(uri=["x" * 10**5]), r"dataset\.uri is a list of 1;"),
        (lambda c: c.update(version=2), "version is 2, and this program reads 1"),
        (lambda c: c.update(version="1"), "version is '1'"),
        (lambda c: c.update(format="labels"), "it holds no labels"),
    ],
)  # fmt: skip
def test_what_was_edited_by_hand(dataset: Path, tmp_path: Path, change: Callable[[dict], object], message: str):
    uri = written(tmp_path, edited(change)(document(dataset)))
    with pytest.raises(UserError, match=message) as raised:
        check_labels(read_labels(uri), opened(dataset))
    assert uri in str(raised.value)
    assert re.search("label the pairs again|python -m jobs", str(raised.value))
    assert len(str(raised.value)) < 1200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON"),
        ("[]", "it holds no labels"),
        ("[" * 100_000, "no JSON"),
        ('{"format": "ovseg-labels", "version": NaN}', "it holds NaN, which is no number"),
        ('{"format": "ovseg-labels", "version": -Infinity}', "it holds -Infinity"),
        ('{"format": "ovseg-labels", "version": 1, "version": 1}', "an object has 'version' twice"),
        ('{"format": "ovseg-labels", "version": ' + "9" * 5000 + "}", "no JSON"),
        ('{"format": "ovseg-labels"', "no JSON"),
        ("\x00", "no JSON"),
    ],
    ids=range(9),
)
def test_what_is_no_file_of_labels(tmp_path: Path, text: str, message: str):
    with pytest.raises(UserError, match=rf"labels\.json: {message}.*label the pairs again"):
        read_labels(written(tmp_path, text))


def test_bytes_and_files_that_hold_no_labels(tmp_path: Path):
    with pytest.raises(UserError, match=r"no JSON: .*codec can't decode"):
        parse_labels(b'{"\xff": 1}', "labels.json")
    with pytest.raises(UserError, match="there is no such file"):
        read_labels(str(tmp_path / "missing.json"))
    with pytest.raises(UserError, match="there is no such file"):
        read_labels(str(tmp_path))
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(UserError, match="67108865 bytes, more than"):
        read_labels(str(tmp_path / "large.json"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["right", *KEYS, "0" * 64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
def test_whatever_stands_in_the_place_of_a_value(dataset: Path, data: st.DataObject):
    """Every value of a good file replaced by any other: labels, or an error that a user can mend."""
    content = copy.deepcopy(document(dataset))
    place: dict | list = content
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    try:
        found = parse_labels(json.dumps(content).encode(), "labels.json")
    except UserError as error:
        message = str(error)
    else:
        assert isinstance(found, Labels)
        assert all(0 <= label.stratum < len(found.strata) for label in found.labels)
        message = f"labels.json: {found}"
    assert message.encode().startswith(b"labels.json: ")


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(data: bytes):
    with pytest.raises(UserError, match=r"labels\.json: "):
        parse_labels(data, "labels.json")
