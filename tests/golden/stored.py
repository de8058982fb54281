"""`stored.json`: what the small outputs of each kind were when its recipe got its number."""

import json
from importlib.metadata import version
from pathlib import Path

from pipeline.configuration.recipe import Kind

_FILE = Path(__file__).parent / "stored.json"
# Whose versions decide on bytes: encoders of pictures, spaCy's nouns, the masks of `segments`.
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "scikit-image", "spacy", "torch")


def read_stored() -> dict[Kind, dict]:
    """By kind: `recipe`, `versions` and `found`, see `outputs.Found`."""
    return json.loads(_FILE.read_text()) if _FILE.exists() else {}


def write_stored(stored: dict[Kind, dict]) -> None:
    """Replace what is stored."""
    _FILE.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """Of the libraries that decide on bytes."""
    return {package: version(package) for package in _PACKAGES}
