"""Files of weights: brought to this node once, their digests, and reading them without running code.

Files are named by a local path, any fsspec URI, or `hf-hub:org/repo[@revision]/file`; models of several files by a
directory, or `hf-hub:org/repo[@revision]`.
"""

import argparse
import contextlib
import errno
import hashlib
import os
import pathlib
import pickle
import re
import shutil
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.own_folder import CACHE_KEY, locked, open_new, open_own, own_folder, user_cache
from pipeline.weights.pickles import BY_NAME, load_pickle
from pipeline.weights.torchscript import StateDict, is_torchscript, read_torchscript

HUB = "hf-hub:"
_MODEL_FILES = ("*.json", "*.safetensors")
_OLD_MODEL_FILES = ("*.json", "pytorch_model*.bin")
_FOLDER_SUFFIXES = (".json", ".safetensors", ".bin", ".txt", ".model")
"""Configurations, weights, and the vocabularies of tokenizers."""

# What programs that train put beside the weights, and what does nothing when it is made: options, and numbers and
# arrays of NumPy.
_HARMLESS = [*BY_NAME, argparse.Namespace, pathlib.PosixPath]
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_MOST_UNPACKED, _SMALL = 16, 2**26
"""Weights that several names share make a checkpoint larger than its file; the numbers beside them take little."""
_REASON_LENGTH = 200


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


def fetch_model(uri: str, key: str) -> Path:
    """The directory of a model on this node: configurations and weights as `transformers` saves them.

    Args, raises: as `fetch`.
    """
    if uri.startswith(HUB):
        repository, revision, file = _parse_hub(uri, key)
        if file:
            raise UserError(f"{key}: {uri!r} names a file, not a model; give hf-hub:org/repo")
        for patterns in (_MODEL_FILES, _OLD_MODEL_FILES):
            folder = Path(_from_hub(key, uri, lambda files=patterns: _snapshot(repository, revision, files)))
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


def read_tensors(path: Path) -> StateDict:
    """The weights in a file, on the CPU: .safetensors, .pkl of detectron2, a TorchScript archive, or of `torch.save`.

    No code in the file is run. A `model`, `state_dict` or `blobs` entry around the weights is taken off (what lies
    beside it, such as an optimiser, a scaler, or averages of the weights, is left), and so are the parts of names that
    wrappers leave: `module.` of parallel training, `_orig_mod.` of `torch.compile`, those of FSDP and of activation
    checkpointing; and the momenta that Caffe2 keeps beside its weights.

    Raises:
        UserError: the file is none of these, or holds more than tensors, arrays and containers.
    """
    try:
        check_archive(path)
        content = _read(path)
    except Exception as error:  # readers of pickles, zips and tensors fail in many ways where bytes are others
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # of the disk; a place before the beginning of a file is one that the file names
        raise UserError(
            f"checkpoint {path} cannot be loaded: it is damaged, or holds more than tensors and plain containers, "
            f"which is refused because reading it could run code ({_reason(error)})"
        ) from error
    for wrapping in ("model", "state_dict", "blobs"):  # the last is Caffe2's
        if isinstance(content, dict) and isinstance(content.get(wrapping), dict):
            content = content[wrapping]
    if not isinstance(content, dict):
        raise UserError(f"checkpoint {path} holds no state dict (names and tensors)")
    weights: StateDict = {}
    for name, value in content.items():
        if str(name).endswith("_momentum"):
            continue
        tensor = _as_tensor(value) if isinstance(value, np.ndarray) else value
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise UserError(
                f"checkpoint {path} holds no state dict (names and tensors), but {name!r}, which is no tensor"
            )
        plain = _without_wrappers(name)
        if plain in weights:
            raise UserError(f"checkpoint {path} holds {plain} twice, with and without the prefixes of wrappers")
        weights[plain] = tensor
    if not weights:
        raise UserError(f"checkpoint {path} holds no state dict (names and tensors), but nothing")
    _check_size(path, weights)
    return weights


def _read(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    if path.suffix == ".pkl":
        with path.open("rb") as file:
            return load_pickle(file, encoding="latin1")  # as Python 2 wrote them
    if is_torchscript(path):
        return read_torchscript(path)
    with torch.serialization.safe_globals(_HARMLESS):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def check_archive(path: Path) -> None:
    """Refuse a zip that unpacks to far more than it is: the numbers of tensors are stored as they are, or nearly.

    Raises:
        pickle.UnpicklingError: it does, or is damaged.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except zipfile.BadZipFile as error:
        raise pickle.UnpicklingError(str(error)) from error
    size = path.stat().st_size
    if unpacked > _MOST_UNPACKED * size + _SMALL:
        raise pickle.UnpicklingError(f"{size} bytes that unpack to {unpacked}")


def _check_size(path: Path, weights: StateDict) -> None:
    """Refuse tensors that show the same few numbers again and again: a model of their size would need any memory."""
    size, shown = path.stat().st_size, sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if shown > _MOST_UNPACKED * size + _SMALL:
        raise UserError(f"checkpoint {path} has {size} bytes, but tensors of {shown}: it is no honest checkpoint")


def _as_tensor(array: np.ndarray) -> torch.Tensor | None:
    try:
        return torch.from_numpy(array)
    except TypeError:  # of text, or of other objects
        return None


def _without_wrappers(name: str) -> str:
    parts = [part for part in name.split(".") if part not in _WRAPPERS]
    while len(parts) > 1 and parts[0] == "module":
        parts.pop(0)
    return ".".join(parts)


def _reason(error: Exception) -> str:
    """One line that says what is wrong: torch writes many, with advice to load the file without looking at it."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    if refused := re.search(r"Unsupported (?:global|class)\W+(?:GLOBAL )?([\w.]+)", text):
        return f"it would call {refused[1]}"
    if "weights_only" in text and (told := re.search(r"WeightsUnpickler error: *(.+)", text)):
        text = told[1]
    return (text.strip().splitlines() or [type(error).__name__])[0][:_REASON_LENGTH]


def _cached(uri: str) -> Path:
    """The copy of a remote file on this node. Whoever comes while it is being fetched waits for it."""
    target = _cache() / f"{_name(uri)}{Path(uri).suffix}"
    if _is_there(target):
        return target
    with locked(Path(f"{target}.lock"), CACHE_KEY):
        if not _is_there(target):
            part = Path(f"{target}.part")
            with storage.open_input(uri, read_ahead=True) as source, open_new(part, CACHE_KEY) as file:
                shutil.copyfileobj(source, file, 8 * 2**20)
            part.rename(target)
    return target


def _is_there(target: Path) -> bool:
    try:
        os.close(open_own(target, CACHE_KEY, os.O_RDONLY))
    except FileNotFoundError:
        return False
    return True


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
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{key}: {uri} cannot be had from the Hugging Face hub: {reason}") from error
