"""Uploads to the hub, by huggingface_hub and a hub on loopback."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.hub_repository import HubRepository, hub_address
from tests.servers.hub import Hub
from tests.servers.hub_writing import git_hash

CARD = b"---\ntags: [a]\n---\n# A dataset"


def opened(uri: str = "hf://datasets/org/name", private: bool | None = None) -> HubRepository:
    return HubRepository(hub_address(uri, "dataset", "--to"), "--to", private)


def writes(hub: Hub) -> list[str]:
    """What was sent since this was asked last: contents, and commits."""
    found = [path for method, path, _ in hub.requests if method == "PUT" or "/commit/" in path]
    hub.requests.clear()
    return [path.split("/")[1] if path.startswith("/objects") else "commit" for path in found]


def test_files_are_in_one_commit_of_a_repository_that_is_private(hub: Hub, writer: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"large" * 1000)
    repository = opened()
    assert repository.private
    assert hub.repositories["datasets/org/name"].token == writer
    repository.commit({"data/a.parquet": tmp_path / "a", "README.md": CARD}, "all of it")
    assert writes(hub) == ["objects", "commit"]
    there = hub.files("org/name")
    assert {name: there[name] for name in there if name != ".gitattributes"} == {
        "data/a.parquet": b"large" * 1000,
        "README.md": CARD,
    }
    assert repository.files()["data/a.parquet"] == 5000
    assert storage.read_bytes(f"{repository.uri}/data/a.parquet", 0, 5) == b"large"
    assert repository.page == f"{hub.endpoint}/datasets/org/name"


def test_what_the_hub_has_is_not_sent_again(hub: Hub, writer: str) -> None:
    opened().commit({"a.parquet": b"one", "README.md": CARD}, "first")
    writes(hub)
    again = opened()
    again.commit({"a.parquet": b"one", "README.md": CARD}, "second")
    assert writes(hub) == []
    again.commit({"a.parquet": b"two", "b.parquet": b"one"}, "third")  # b is a's old content, under another name
    assert writes(hub) == ["objects", "commit"]
    assert hub.files("org/name")["b.parquet"] == b"one"


def test_a_branch_is_made_and_the_others_stay(hub: Hub, writer: str) -> None:
    opened("hf://datasets/org/name").commit({"README.md": CARD}, "first")
    opened("hf://datasets/org/name@next/one").commit({"more.parquet": b"more"}, "second")
    assert "more.parquet" not in hub.files("org/name")
    assert set(hub.files("org/name", "next/one")) == {".gitattributes", "README.md", "more.parquet"}


@pytest.mark.parametrize(
    ("private", "before", "after"), [(None, False, False), (False, None, False), (True, None, True), (None, None, True)]
)
def test_who_sees_it(hub: Hub, writer: str, private: bool | None, before: bool | None, after: bool) -> None:
    if before is not None:
        hub.commit("org/name", {"README.md": CARD})
    assert opened(private=private).private == after


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("hf://org/name", "dataset", "is a repository for models; a dataset goes to hf://datasets/ORG/NAME"),
        ("hf://spaces/org/name", "dataset", "a dataset goes to hf://datasets/ORG/NAME"),
        ("hf://datasets/org/name", "model", "is no repository for models; a model goes to hf://ORG/NAME"),
        ("hf://buckets/org/name", "model", "a model goes to hf://ORG/NAME"),
        ("hf://datasets/name", "dataset", "says not whose repository it is"),
        ("hf://datasets/org/name/folder", "dataset", "is no name that the hub takes"),
        ("hf://org/na--me", "model", "is no name that the hub takes"),
        ("hf://datasets/", "dataset", "is no name that the hub takes"),
        ("hf://org/name@" + "a" * 40, "model", "is a commit, to which nothing can be added; name a branch"),
    ],
)
def test_addresses_of_something_else(uri: str, kind: str, said: str) -> None:
    with pytest.raises(UserError, match=f"^--to: .*{said}"):
        hub_address(uri, kind, "--to")  # type: ignore[arg-type]


def test_without_a_token_nobody_is_asked(hub: Hub) -> None:
    with pytest.raises(UserError, match=r"--to: no token .*settings/tokens.*hf auth login.*HF_TOKEN"):
        opened()
    assert hub.requests == []


@pytest.mark.parametrize(
    ("namespaces", "there", "said"),
    [
        (None, False, "the hub does not know the token.*make a new one"),
        ((), False, "the hub refuses it: You don't have the rights to create.*the right to write.*member"),
        ((), True, "the hub refuses it: Forbidden.*the right to write"),
    ],
)
def test_tokens_that_may_not_write(hub: Hub, writer: str, namespaces: tuple | None, there: bool, said: str) -> None:
    del hub.writers[writer]
    if namespaces is not None:
        hub.writers[writer] = set(namespaces)
    if there:
        hub.commit("org/name", {"README.md": CARD})
    with pytest.raises(UserError, match=rf"(?s)--to: cannot upload to hf://datasets/org/name: {said}") as raised:
        opened()
    assert writer not in str(raised.value)
    assert writes(hub) == []


def test_what_is_public_is_not_taken_for_private(hub: Hub, writer: str) -> None:
    hub.commit("org/name", {"README.md": CARD})
    with pytest.raises(UserError, match="there already, and public; make it private in its settings"):
        opened(private=True)


def test_what_the_hub_ignores_or_refuses_is_said(hub: Hub, writer: str) -> None:
    hub.commit("org/name", {".gitignore": b"*.parquet\n"})
    repository = opened()
    with pytest.raises(UserError, match=r"did not take a\.parquet \(1 of 2 files\); does its \.gitignore name it"):
        repository.commit({"a.parquet": b"a", "README.md": CARD}, "first")
    with pytest.raises(UserError, match=r"(?s)Invalid metadata in README\.md"):
        repository.commit({"README.md": b"---\n{ not closed\n---\n"}, "second")
    with pytest.raises(UserError, match=r"cannot update files under a '\.git/' folder"):
        repository.commit({".git/config": b""}, "third")


@pytest.mark.parametrize("status", [500, 429])
def test_what_may_pass_is_no_error_of_the_user(hub: Hub, writer: str, status: int) -> None:
    repository = opened()
    hub.before = lambda method, path: status if "/commit/" in path else None
    with pytest.raises(OSError, match=rf"the hub did not take it \(HTTP status {status}"):
        repository.commit({"a.parquet": b"a"}, "first")
    hub.before = lambda method, path: None
    writes(hub)
    repository.commit({"a.parquet": b"a"}, "first")
    assert writes(hub) == ["commit"]  # its content is there


def test_a_hub_that_is_not_there(hub: Hub, writer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(OSError, match=r"the hub did not take it \(ConnectError"):
        opened()


def test_the_stand_in_calls_files_as_git_does() -> None:
    assert git_hash(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
