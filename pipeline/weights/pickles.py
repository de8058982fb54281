"""Reading pickles of others without running what they may contain."""

import codecs
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np


def load_pickle(file: BinaryIO, encoding: str = "ASCII") -> Any:
    """The content of a pickle of arrays, numbers, text and containers.

    Args:
        encoding: of the text in pickles of Python 2; "latin1" also reads their arrays.

    Raises:
        pickle.UnpicklingError: it holds more than that. What is no pickle at all fails in many other ways.
    """
    return _ArraysOnly(file, encoding=encoding).load()


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _FUNCTIONS:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return _FUNCTIONS[module, name]


class _Type:
    """The type of the numbers of an array, by its code and byte order alone.

    A pickle can set all that a type of NumPy says of itself, also of those that NumPy shares. With the flag of objects
    off, it would take bytes of the pickle for addresses of objects in memory.
    """

    def __init__(self, code: str, *_: Any):
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "biufcSUO":
            raise pickle.UnpicklingError(f"it holds an array of type {code!r:.100}")

    def __setstate__(self, state: Any) -> None:
        _, order, part, names, fields, *_ = state
        if (part, names, fields) != (None, None, None):
            raise pickle.UnpicklingError("it holds an array of structures")
        self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that looks at its state before it takes it."""

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, by_columns, content = state
        if not isinstance(kind, _Type) or kind.dtype.hasobject != isinstance(content, list):
            raise pickle.UnpicklingError("it holds an array whose content is not of its type")
        super().__setstate__((version, shape, kind.dtype, by_columns, content))


class _Placeholder:
    """What stands for the class of arrays, which a pickle names and must not call."""

    def __new__(cls, *_: Any) -> Any:
        raise pickle.UnpicklingError("it would call numpy.ndarray")


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind is not _Placeholder:
        raise pickle.UnpicklingError("it holds an array of an odd class")
    return _Array((0,), np.int8)  # the state, which follows, says all


def _scalar(kind: _Type, *content: Any) -> Any:
    if kind.dtype.hasobject:
        raise pickle.UnpicklingError("it holds an object as a number of NumPy")
    # The function that pickles of NumPy name; its stub lacks it.
    return np._core.multiarray.scalar(kind.dtype, *content)  # type: ignore[attr-defined]


def _from_buffer(content: Any, kind: _Type, shape: Any, order: Any) -> np.ndarray:
    return np.frombuffer(content, kind.dtype).reshape(shape, order=order)


_FUNCTIONS: dict[tuple[str, str], Callable] = {
    ("numpy", "ndarray"): _Placeholder,
    ("numpy", "dtype"): _Type,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    ("_codecs", "encode"): codecs.encode,
    ("collections", "OrderedDict"): OrderedDict,
}
"""What arrays and containers consist of, by the names that the versions of NumPy and Python give them."""

BY_NAME: list[tuple[Callable, str] | type] = [
    *((function, f"{module}.{name}") for (module, name), function in _FUNCTIONS.items() if module != "collections"),
    _Array,
]
"""The same as `torch.serialization.safe_globals` takes it, which knows containers."""
