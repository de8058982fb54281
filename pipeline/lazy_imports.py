"""Package faces that import nothing until it is asked for (PEP 562), so that `--help` need not wait for torch.

    if TYPE_CHECKING:
        from pipeline.clip.loading import load_clip

    __all__ = ["load_clip"]
    __getattr__ = lazy_imports(__name__)

Type checkers and editors read the imports as they stand; at run time `pipeline.clip.load_clip` brings in
`pipeline.clip.loading` when it is first used.
"""

import ast
import functools
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def lazy_imports(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: it serves the names that the package imports under `if TYPE_CHECKING:`."""

    @functools.cache
    def homes() -> dict[str, str]:
        tree = ast.parse(Path(str(sys.modules[package].__file__)).read_text(encoding="utf-8"))
        blocks = [
            node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ]
        imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
        return {alias.name: node.module or "" for node in imports for alias in node.names}

    def get(name: str) -> Any:
        if name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes()[name]), name)
        setattr(sys.modules[package], name, value)  # the next time it is found without asking here
        return value

    return get
