"""Reading pickles of others without running what they may contain."""

import pickle
from typing import Any, BinaryIO

# What arrays and containers consist of, by the names that the versions of NumPy and Python give them.
_HARMLESS = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}


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
        if (module, name) not in _HARMLESS:
            raise pickle.UnpicklingError(f"it would call {module}.{name}")
        return super().find_class(module, name)
