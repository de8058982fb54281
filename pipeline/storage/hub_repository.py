"""Repositories on the Hugging Face hub to upload into: hf://datasets/ORG/NAME[@BRANCH] and hf://ORG/NAME[@BRANCH].

fsspec's `hf://` makes a commit of every file that is closed; here many files make one, as the hub wants it, through
huggingface_hub's `HfApi`, which sends what the hub has not. The token is huggingface_hub's (`HF_TOKEN`, `hf auth
login`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from pipeline.errors import UserError
from pipeline.storage.hub_errors import upload_errors

Kind = Literal["dataset", "model"]

_PROTOCOL = "hf://"
_PREFIXES = {"dataset": "datasets/", "model": ""}
_OTHER_KINDS = ("spaces", "buckets", "kernels")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATTERNS = {"dataset": "hf://datasets/ORG/NAME[@BRANCH]", "model": "hf://ORG/NAME[@BRANCH]"}


@dataclass(frozen=True)
class HubAddress:
    """Where on the hub."""

    kind: Kind
    repository: str
    """ORG/NAME."""
    branch: str

    @property
    def uri(self) -> str:
        """Without the branch."""
        return f"{_PROTOCOL}{_PREFIXES[self.kind]}{self.repository}"


def hub_address(uri: str, kind: Kind, key: str) -> HubAddress:
    """What an address says.

    Args:
        kind: what is to be uploaded.
        key: of the command line, for messages.

    Raises:
        UserError: it names a repository of another kind, none, or something inside one.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    name, _, branch = uri.removeprefix(_PROTOCOL).strip("/").partition("@")
    first, _, rest = name.partition("/")
    branch = unquote(branch) or "main"
    if first in _OTHER_KINDS or (first == "datasets") != (kind == "dataset"):
        other = "a repository for models" if kind == "dataset" else "no repository for models"
        raise UserError(f"{key}: {uri} is {other}; a {kind} goes to {_PATTERNS[kind]}")
    repository = rest if kind == "dataset" else name
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UserError(f"{key}: {uri} is no name that the hub takes: {error}; write {_PATTERNS[kind]}") from error
    if "/" not in repository:
        raise UserError(f"{key}: {uri} says not whose repository it is; write {_PATTERNS[kind]}")
    if _COMMIT.fullmatch(branch):
        raise UserError(f"{key}: {branch} is a commit, to which nothing can be added; name a branch after the @")
    return HubAddress(kind, repository, branch)


class HubRepository:
    """A repository that may be written to; made if it was not there, and the branch, too."""

    def __init__(self, address: HubAddress, key: str, private: bool | None = None):
        """
        Args:
            key: of the command line, for messages.
            private: whether it is to be private. None: if it has to be made; one that is there stays what it is.

        Raises:
            UserError: there is no token, or it may not write there; or the repository is not as private as asked for.
            OSError: the hub does not answer.
        """
        from huggingface_hub import CommitOperationAdd, HfApi, get_token
        from huggingface_hub.errors import RevisionNotFoundError

        self.address, self._key = address, key
        token = get_token()
        if token is None:
            raise UserError(
                f"{key}: no token of the Hugging Face hub was found; make one that may write at "
                "https://huggingface.co/settings/tokens, then `hf auth login`, or set HF_TOKEN"
            )
        self._api = HfApi(token=token)
        self._of: dict[str, Any] = {"repo_id": address.repository, "repo_type": address.kind}
        with upload_errors(address.uri, key):
            self._api.create_repo(**self._of, private=private is not False, exist_ok=True)
            try:
                found = self._api.repo_info(**self._of, revision=address.branch)
            except RevisionNotFoundError:
                self._api.create_branch(**self._of, branch=address.branch)
                found = self._api.repo_info(**self._of, revision=address.branch)
            self.private = bool(found.private)
            """Who else sees it: nobody, or all."""
            if private and not self.private:
                raise UserError(
                    f"{key}: {address.uri} is there already, and public; make it private in its settings on the hub, "
                    "leave out --private, or choose another name"
                )
            # The hub is asked how it would take a file, for which it wants the right to write; nothing is sent.
            probe = CommitOperationAdd("README.md", b"")
            self._api.preupload_lfs_files(**self._of, additions=[probe], revision=address.branch)
        self._head = str(found.sha)

    @property
    def uri(self) -> str:
        """The `hf://` address of what is in it now: of its newest commit, which never changes."""
        return f"{self.address.uri}@{self._head}"

    @property
    def page(self) -> str:
        """Its page on the hub."""
        return f"{self._api.endpoint}/{self.address.uri.removeprefix(_PROTOCOL)}"

    def files(self) -> dict[str, int]:
        """All files of the branch, and their sizes in bytes.

        Raises:
            UserError, OSError: as `__init__`.
        """
        from huggingface_hub.hf_api import RepoFile

        with upload_errors(self.address.uri, self._key):
            tree = self._api.list_repo_tree(**self._of, recursive=True, revision=self._head)
            return {entry.path: entry.size for entry in tree if isinstance(entry, RepoFile)}

    def commit(self, files: Mapping[str, Path | bytes], message: str) -> None:
        """Add files or replace them, all in one commit; contents that the hub has already are not sent again.

        Args:
            files: by the names that they get, local files or their contents.
            message: title of the commit.

        Raises:
            UserError: the hub refuses them, or ignores them.
            OSError: it does not answer; the same call carries on.
        """
        from huggingface_hub import CommitOperationAdd

        with upload_errors(self.address.uri, self._key):
            additions = [CommitOperationAdd(name, content) for name, content in files.items()]
            sizes = {addition.path_in_repo: addition.upload_info.size for addition in additions}
            done = self._api.create_commit(
                operations=additions, commit_message=message, revision=self.address.branch, **self._of
            )
        self._head = done.oid
        # What a .gitignore of the repository names is left out by the hub without a word.
        there = self.files()
        if left_out := [name for name, size in sizes.items() if there.get(name) != size]:
            raise UserError(
                f"{self._key}: {self.address.uri} did not take {left_out[0]} ({len(left_out)} of {len(sizes)} files); "
                "does its .gitignore name it? Remove that line, or choose another repository"
            )
