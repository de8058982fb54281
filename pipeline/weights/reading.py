"""The weights in a file, read without running code that it may hold."""

import argparse
import errno
import pathlib
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from pipeline.errors import UserError
from pipeline.weights.pickles import BY_NAME, load_pickle
from pipeline.weights.torchscript import StateDict, is_torchscript, read_torchscript

# What programs that train put beside the weights, and what does nothing when it is made: options, and numbers and
# arrays of NumPy.
_HARMLESS: list[Callable | tuple[Callable, str]] = [*BY_NAME, argparse.Namespace, pathlib.PosixPath]
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
_MOST_UNPACKED, _SMALL = 16, 2**26
"""Weights that several names share make a checkpoint larger than its file; the numbers beside them take little."""
_REASON_LENGTH = 200


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
            raise  # of the disk; an offset before the beginning of a file is one that the file names
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
