"""Files of weights and whole models, brought to this node once.

Files are named by a local path, any fsspec URI, or `hf-hub:org/repo[@revision]/file`; models of several files by a
directory, or `hf-hub:org/repo[@revision]`.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.model_addresses import HUB
from pipeline.storage.node_cache import NodeCache
from pipeline.storage.own_folder import CACHE_KEY, own_folder, user_cache

_MODEL_FILES = ("*.json", "*.safetensors")
_VOCABULARY_FILES = ("vocab.txt", "merges.txt")
_OLD_MODEL_FILES = ("*.json", "pytorch_model*.bin")
_FOLDER_SUFFIXES = (".json", ".safetensors", ".bin", ".txt", ".model")
"""Configurations, weights, and the vocabularies of tokenizers."""


def fetch(uri: str, key: str) -> Path:
    """A file on this node: a local one as it is, another one from the cache, where the first who wants it puts it.

    Args:
        key: of the configuration, for messages.

    Raises:
        UserError: nothing is there, or it cannot be read.
        OSError: there is no room for it.
    """
    if uri.startswith(HUB):
        repository, revision, file = _parse_hub(uri, key)
        if not file:
            raise UserError(f"{key}: {uri!r} names a repository, not a file in it; give hf-hub:org/repo/file")
        return Path(_from_hub(key, uri, lambda: hf_hub_download(repository, file, revision=revision)))
    if storage.is_local(uri):
        path = Path(storage.filesystem(uri)[1])
        if not path.is_file():
            raise UserError(f"{key}: there is no file {uri}")
        return path
    storage.check_readable(uri, key)
    return _cached(uri)


def fetch_model(uri: str, key: str, *, vocabulary: bool = False) -> Path:
    """The directory of a model on this node: configurations and weights as `transformers` saves them.

    Args:
        vocabulary: with the vocabulary of its tokenizer. (The hash of a directory is over all that is fetched, so that
            models which need none have to stay as they are.)

    Other args, raises: as `fetch`.
    """
    if uri.startswith(HUB):
        repository, revision, file = _parse_hub(uri, key)
        if file:
            raise UserError(f"{key}: {uri!r} names a file, not a model; give hf-hub:org/repo")
        words = _VOCABULARY_FILES if vocabulary else ()
        for patterns in (_MODEL_FILES, _OLD_MODEL_FILES):
            folder = Path(_from_hub(key, uri, lambda files=(*patterns, *words): _snapshot(repository, revision, files)))
            if any(folder.glob(patterns[1])):
                return folder
        raise UserError(f"{key}: {uri} holds no weights (*.safetensors or pytorch_model*.bin)")
    if storage.is_local(uri):
        folder = Path(storage.filesystem(uri)[1])
        if not folder.is_dir():
            raise UserError(f"{key}: there is no directory {uri}")
    else:
        folder = fetch_folder(uri, key)
    if not (folder / "config.json").is_file():
        raise UserError(f"{key}: {uri} holds no config.json, so it is not a model that `transformers` saved")
    return folder


def fetch_folder(uri: str, key: str) -> Path:
    """A model's directory on remote storage, on this node. Another path when one of its files has changed.

    Args, raises: as `fetch`.
    """
    storage.check_readable(uri, key)
    names = [name for name in storage.list_names(uri) if name.endswith(_FOLDER_SUFFIXES)]
    files = {name: _cached(storage.join(uri, name)) for name in names}
    content = "".join(f"{name} {file.name}\n" for name, file in files.items())
    folder = own_folder(_cache() / hashlib.sha256(content.encode()).hexdigest()[:24], CACHE_KEY)
    for name, file in files.items():
        with contextlib.suppress(FileExistsError):  # of another worker on this node
            os.symlink(file, folder / name)
    return folder


def sha256(path: Path) -> str:
    """Hex digest of a file; of a directory: of the names and contents of the files directly in it."""
    if path.is_file():
        return storage.sha256(str(path))[0]
    files = sorted(file for file in path.iterdir() if file.is_file())
    return hashlib.sha256("".join(f"{file.name} {sha256(file)}\n" for file in files).encode()).hexdigest()


def _cached(uri: str) -> Path:
    """The copy of a remote file on this node."""
    return NodeCache(_cache(), CACHE_KEY).fetch(uri, f"{_name(uri)}{Path(uri).suffix}")


def _cache() -> Path:
    return user_cache("weights")


def _name(uri: str) -> str:
    """A name that changes when what lies at the URI does, where the storage can tell."""
    fs, path = storage.filesystem(uri)
    return hashlib.sha256(f"{uri}\n{fs.ukey(path)}".encode()).hexdigest()[:24]


def _parse_hub(uri: str, key: str) -> tuple[str, str | None, str]:
    """Repository, revision and file of `hf-hub:org/repo[@revision][/file]`."""
    organisation, _, rest = uri.removeprefix(HUB).partition("/")
    repository, _, file = rest.partition("/")
    repository, _, revision = repository.partition("@")
    if not organisation or not repository:
        raise UserError(f"{key}: {uri!r} is not hf-hub:org/repo[@revision][/file]")
    return f"{organisation}/{repository}", revision or None, file


def _snapshot(repository: str, revision: str | None, files: Iterable[str]) -> str:
    return snapshot_download(repository, revision=revision, allow_patterns=list(files))


def _from_hub(key: str, uri: str, download: Any) -> str:
    try:
        return download()
    except GatedRepoError as error:
        repository = "/".join(uri.removeprefix(HUB).partition("@")[0].split("/")[:2])
        raise UserError(
            f"{key}: {uri} is gated: its owners give access to those who ask for it. Ask at "
            f"https://huggingface.co/{repository} with your account, and give a token of that account on every "
            "machine, in HF_TOKEN or by `hf auth login`"
        ) from error
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{key}: {uri} cannot be had from the Hugging Face hub: {reason}") from error
