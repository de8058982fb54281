"""A backend as a user writes one, in a file of its own with options: the one that the README of proposals shows."""

import re
from pathlib import Path

from tests.conftest import REPOSITORY

README = (REPOSITORY / "pipeline" / "proposals" / "README.md").read_text(encoding="utf-8")
[SOURCE] = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BACKEND = "stripes_of_mine:Stripes"


def write_own_backend(folder: Path) -> None:
    """Write the module of `BACKEND` into a folder."""
    (folder / "stripes_of_mine.py").write_text(SOURCE, encoding="utf-8")
