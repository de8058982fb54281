"""`hf://` addresses, through huggingface_hub and a hub on loopback."""

import pytest

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.patterns import matching_files
from tests.servers.hub import Hub

TOKEN = "hf_" + "a" * 20
FILES = {"README.md": b"# A dataset", "data/train-0.parquet": b"0123456789", "data/test-0.parquet": b"abc"}


def test_files_are_listed_and_read_by_range(hub: Hub) -> None:
    commit = hub.commit("org/name", FILES)
    assert storage.at_commit("hf://datasets/org/name", "key") == f"hf://datasets/org/name@{commit}"
    pinned = storage.at_commit("hf://datasets/org/name/data/train-*.parquet", "key")
    assert matching_files(pinned, (".parquet",)) == [f"hf://datasets/org/name@{commit}/data/train-0.parquet"]
    folder = f"hf://datasets/org/name@{commit}/data"
    assert matching_files(folder, (".parquet",)) == [f"{folder}/test-0.parquet", f"{folder}/train-0.parquet"]
    assert storage.read_bytes(f"{folder}/train-0.parquet", 3, 6) == b"345"
    with storage.open_input(f"{folder}/train-0.parquet") as file:
        assert (file.seek(8), file.read(5)) == (8, b"89")
    assert storage.read_at_most(f"{folder}/test-0.parquet", 3) == b"abc"
    with pytest.raises(storage.TooManyBytes):
        storage.read_at_most(f"{folder}/train-0.parquet", 3)
    assert not storage.exists(f"{folder}/other.parquet")
    with pytest.raises(FileNotFoundError):
        storage.read_bytes(f"{folder}/other.parquet")


def test_a_branch_stands_for_the_commit_that_it_has_now(hub: Hub) -> None:
    first = hub.commit("org/name", FILES)
    assert storage.at_commit("hf://datasets/org/name@main/data", "key").endswith(f"@{first}/data")
    second = hub.commit("org/name", FILES | {"data/more.parquet": b""})
    assert storage.at_commit("hf://datasets/org/name@main/data", "key").endswith(f"@{second}/data")
    assert storage.at_commit(f"hf://datasets/org/name@{first}/data", "key").endswith(f"@{first}/data")
    archive = storage.at_commit("zip://a::hf://datasets/org/name/data/a.zip", "key")
    assert archive == f"zip://a::hf://datasets/org/name@{second}/data/a.zip"
    for other in ("/data/a.parquet", "s3://bucket/a", "zip://a::s3://bucket/a.zip"):
        assert storage.at_commit(other, "key") == other


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("hf://datasets/org/none/data", "no such repository, or does not show it.*hf auth login.*HF_TOKEN"),
        ("hf://datasets/org/private/data", "no such repository, or does not show it.*hf auth login.*HF_TOKEN"),
        ("hf://datasets/org/gated/data", "ask for access on its page.*HF_TOKEN"),
        ("hf://datasets/org/name@nightly/data", "no such revision; name a branch"),
        ("hf://datasets/org/name/nothing", "nothing is there"),
        ("hf://datasets/name", "namespace/name"),
        ("hf://", "hf://datasets/ORG/NAME"),
        ("hf://datasets/org/name", r"0 files match .*it holds README\.md, data"),
    ],
)
def test_what_is_not_there_or_not_for_us_is_said_with_what_to_do(hub: Hub, uri: str, said: str) -> None:
    for name in ("org/name", "org/private", "org/gated"):
        hub.commit(name, FILES)
    hub.protect("org/private", TOKEN)
    hub.protect("org/gated", TOKEN, gated=True)
    with pytest.raises(UserError, match=f"(?s)captions.path: .*{said}"):
        matching_files(storage.at_commit(uri, "captions.path"), (".parquet",))


def test_the_token_comes_from_the_environment(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.commit("org/private", FILES)
    hub.protect("org/private", TOKEN)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert storage.read_bytes("hf://datasets/org/private/data/test-0.parquet") == b"abc"
    assert {token for _, path, token in hub.requests if "org/private" in path} == {TOKEN}


def test_a_dataset_that_became_private_says_nothing_about_its_files(hub: Hub) -> None:
    commit = hub.commit("org/name", FILES)
    uri = f"hf://datasets/org/name@{commit}/data/test-0.parquet"
    assert storage.read_bytes(uri) == b"abc"
    hub.protect("org/name", TOKEN)
    with pytest.raises(PermissionError, match="HF_TOKEN"):
        storage.read_bytes(uri)
