"""The weights in a TorchScript archive, read without running the program in it.

An archive is a zip: `data.pkl` is a pickle of the module with its submodules and tensors, `data/N` are the numbers of
the tensors, and `code/` is a program. `torch.jit.load` compiles that program and runs the parts of it that restore
objects. Here the pickle is read with placeholders in place of everything but tensors and containers, and the program is
only searched for the lists of names that tell parameters and buffers from other tensors.
"""

import pickle
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

StateDict = dict[str, torch.Tensor]

_MOST_MODULES = 100_000
_STORAGES = {
    "BFloat16Storage": torch.bfloat16, "BoolStorage": torch.bool, "ByteStorage": torch.uint8,
    "CharStorage": torch.int8, "DoubleStorage": torch.float64, "FloatStorage": torch.float32,
    "HalfStorage": torch.float16, "IntStorage": torch.int32, "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}  # fmt: skip
_CLASS = re.compile(r"^class (\w+)\(Module\):\n((?:[ \t].*\n|\n)*)", re.MULTILINE)
_LISTED = re.compile(r"^\s+__(?:parameters|buffers)__ = \[(.*)\]", re.MULTILINE)
_NAME = re.compile(r'"([^"\\]+)"')


def is_torchscript(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI publishes its models."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(path: Path) -> StateDict:
    """Parameters and buffers by name, as `torch.jit.load(path).state_dict()` returns them, on the CPU.

    Raises:
        pickle.UnpicklingError: the archive is damaged, or holds what a module with plain tensors does not.
    """
    with zipfile.ZipFile(path) as archive:
        roots = {name.removesuffix("constants.pkl") for name in archive.namelist() if _is_constants(name)}
        [root] = roots or {""}
        if not root or f"{root}data.pkl" not in archive.namelist():
            raise pickle.UnpicklingError("the archive holds no data.pkl")
        try:
            with archive.open(f"{root}data.pkl") as file:
                module = _Reader(file, archive, root).load()
            weights: StateDict = {}
            for name, tensor in _Names(archive, root).state(module):
                weights[name] = tensor
            return weights
        except (pickle.UnpicklingError, zipfile.BadZipFile):
            raise
        # Whatever is no such pickle fails in many ways: wrong arguments, unknown members, sizes that do not fit.
        except (ArithmeticError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise pickle.UnpicklingError(f"its data.pkl is malformed: {type(error).__name__}: {reason}") from error


def _is_constants(name: str) -> bool:
    return name.count("/") == 1 and name.endswith("/constants.pkl")


class _Object:
    """Stands for an object of a class of the archive's program: its name and its attributes."""

    qualified_name = ""

    def __setstate__(self, state: Any) -> None:
        self.__dict__["attributes"] = state if isinstance(state, dict) else {}


class _Function:
    """Stands for a function that a pickle may name; with slots, so that a pickle cannot put anything into it."""

    __slots__ = ("_function",)
    _function: Callable

    def __init__(self, function: Callable):
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError(f"it would set {name}")


def _rebuild_tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)


_FUNCTIONS: dict[tuple[str, str], Callable] = {
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("collections", "OrderedDict"): lambda items=(): dict(items),
    ("torch", "device"): str,
    ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
    **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "double", "bool", "tensor")},
}


class _Reader(pickle.Unpickler):
    """Makes tensors, plain values and `_Object`s; refuses everything else."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str):
        super().__init__(file)
        self._archive, self._root = archive, root
        self._storages: dict[str, torch.Tensor] = {}
        self._classes: dict[str, type] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return name
        if function := _FUNCTIONS.get((module, name)):
            return _Function(function)
        if module.startswith("__torch__"):
            qualified = f"{module}.{name}"
            return self._classes.setdefault(qualified, type("_Object", (_Object,), {"qualified_name": qualified}))
        raise pickle.UnpicklingError(f"it would call {module}.{name}")

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """The numbers of a tensor, one axis."""
        tag, kind, key, _, numbers = pid
        if tag != "storage" or kind not in _STORAGES:
            raise pickle.UnpicklingError(f"it names a storage {tag!r} of {kind!r}")
        if key not in self._storages:
            member = self._archive.getinfo(f"{self._root}data/{key}")
            dtype = _STORAGES[kind]
            # Archives hold their tensors as they are: what is packed would unpack to any size.
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != numbers * dtype.itemsize:
                raise pickle.UnpicklingError(f"{member.filename} has {member.file_size} bytes for {numbers} {dtype}")
            data = bytearray(self._archive.read(member))
            self._storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self._storages[key]


class _Names:
    """Finds the parameters and buffers of a module and of those inside it."""

    def __init__(self, archive: zipfile.ZipFile, root: str):
        self._archive, self._root = archive, root
        self._members = set(archive.namelist())
        self._listed: dict[str, dict[str, list[str]]] = {}
        self._met = 0

    def state(self, module: Any, prefix: str = "", above: tuple[int, ...] = ()) -> Iterator[tuple[str, torch.Tensor]]:
        self._met += 1
        if id(module) in above or self._met > _MOST_MODULES:
            raise pickle.UnpicklingError("its modules contain one another")
        if not isinstance(module, _Object):
            raise pickle.UnpicklingError(f"it holds a {type(module).__name__} and no module")
        attributes = getattr(module, "attributes", {})
        for name in self._weights_of(module.qualified_name):
            if isinstance(attributes.get(name), torch.Tensor):  # None where a module has no bias
                yield prefix + name, attributes[name]
        for name, value in attributes.items():
            if isinstance(value, _Object):
                yield from self.state(value, f"{prefix}{name}.", (*above, id(module)))

    def _weights_of(self, qualified_name: str) -> list[str]:
        """What a class of the program lists as its parameters and buffers."""
        *module, class_name = qualified_name.split(".")
        file = f"{self._root}code/{'/'.join(module)}.py"
        if file not in self._listed:
            code = self._archive.read(file).decode() if file in self._members else ""
            self._listed[file] = {
                name: [weight for listed in _LISTED.findall(body) for weight in _NAME.findall(listed)]
                for name, body in _CLASS.findall(code)
            }
        return self._listed[file].get(class_name, [])
