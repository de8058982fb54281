"""Which names and addresses from data are read."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.captions.addresses import PLAIN_PROTOCOLS, all_redacted, refusal, refusals

ALLOWED = [
    "a.jpg",
    "folder/a b (1) [2] #3 50%?*.jpg",
    "a/../b.jpg",
    "..a/b..jpg",
    "/data/photos/a.jpg",
    "C:/photos/a.jpg",
    "file:///data/a.jpg",
    "s3://bucket/a:b.jpg",
    "gs://bucket/a.jpg",
    "abfs://container@account.dfs.core.windows.net/a.jpg",
    "hf://datasets/org/repo@main/a.jpg",
    "http://host:8080/a@2x.jpg",
    "https://web.archive.org/web/https://host/a.jpg",
    "https://host/a.jpg?X-Amz-Signature=c0ffee",
    "",
]
REFUSED = [
    "reference://a.jpg::http://host/ref.json",
    "filecache://a.jpg",
    "simplecache::https://host/a.jpg",
    "github://main/a.jpg",
    "ftp://host/a.jpg",
    "sftp://host/a.jpg",
    "zip://a.jpg::/data/a.zip",
    "tar://a.jpg::/data/a.tar",
    "memory://a.jpg",
    "jupyter://a.jpg",
    "data:image/png;base64,AAAA",
    "folder/reference://a.jpg",
    "reference:\\\\a.jpg",
    "a::b.jpg",
    "az://container@host.evil.org\\.blob.core.windows.net/a.jpg",
    "abfs://container@evil.org/?.dfs.core.windows.net/a.jpg",
    "az://c ontainer/a.jpg",
    "../a.jpg",
    "a/../../b.jpg",
    "..\\a.jpg",
    "a/./../..",
]
SECRET = ["https://user:pass@host/a.jpg", "https://TOKEN@host/a.jpg", "s3://KEY:se/cret@bucket/a.jpg"]


def test_what_is_refused_and_what_is_not():
    assert [name for name in ALLOWED if refusal(name)] == []
    assert {name: refusal(name) for name in REFUSED} == dict.fromkeys(REFUSED, "refused_address")
    assert {name: refusal(name) for name in SECRET} == dict.fromkeys(SECRET, "secret_in_address")


def test_a_column_is_judged_as_its_names_are():
    names = pa.array([*ALLOWED, None, *REFUSED, *SECRET])
    expected = [None] * (len(ALLOWED) + 1) + ["refused_address"] * len(REFUSED) + ["secret_in_address"] * len(SECRET)
    assert refusals(names).to_pylist() == expected
    assert refusals(pa.chunked_array([names[:3], names[3:]])).to_pylist() == expected
    assert all_redacted(names)[-1].as_py() == "s3://…@bucket/a.jpg"
    assert all_redacted(names)[: len(ALLOWED) - 2].to_pylist() == ALLOWED[:-2]


PARTS = [
    *(f"{protocol}://" for protocol in PLAIN_PROTOCOLS),
    "ftp://",
    "::",
    "..",
    "/",
    "\\",
    ":",
    "@",
    "a",
    "data:",
    "\n",
]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=8).map("".join) | st.text(max_size=20), max_size=8))
def test_columns_and_names_agree_whatever_they_hold(names):
    assert refusals(pa.array(names, pa.string())).to_pylist() == [refusal(name) for name in names]


@given(st.text(max_size=12), st.sampled_from(["::", "ftp://", "reference://"]), st.text(max_size=12))
def test_no_chain_and_no_other_protocol_gets_through(before, odd, after):
    name = before + odd + after
    assert refusal(name) is not None or name.startswith(tuple(f"{protocol}://" for protocol in PLAIN_PROTOCOLS))
    if "::" in name:
        assert refusal(name) is not None


@pytest.mark.parametrize("name", ["https://h/a?sig=1", "https://h/a?token=1"])
def test_signed_addresses_are_shown_without_the_signature(name):
    assert all_redacted(pa.array([name, None])).to_pylist() == [name.replace("=1", "=…"), None]
