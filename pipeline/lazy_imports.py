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
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import InspectLoader


def lazy_imports(package: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package: it serves the names that the package imports under `if TYPE_CHECKING:`."""

    @functools.cache
    def homes() -> dict[str, str]:
        spec = sys.modules[package].__spec__
        assert spec is not None  # only `__main__` may have none
        # Whatever loads Python source can show it.
        source = cast("InspectLoader", spec.loader).get_source(package)
        assert source is not None
        tree = ast.parse(source)
        blocks = [
            node.body for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        ]
        imports = [node for block in blocks for node in block if isinstance(node, ast.ImportFrom)]
        # `from . import name` has no module: faces do not write that.
        return {alias.name: node.module for node in imports if node.module for alias in node.names}

    def get(name: str) -> Any:
        if name not in homes():
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes()[name]), name)
        setattr(sys.modules[package], name, value)  # the next time it is found without asking here
        return value

    return get
