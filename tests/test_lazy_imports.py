"""Package faces: they serve their names, and load nothing before one is asked for."""

import importlib
import json
import pkgutil
import subprocess
import sys

import pytest

import pipeline
import pipeline.clip

# Less what a proposal backend consists of: it is imported when it is named.
FACES = sorted(
    name
    for _, name, is_package in pkgutil.walk_packages(pipeline.__path__, "pipeline.")
    if is_package and not name.startswith("pipeline.proposals.") and hasattr(importlib.import_module(name), "__all__")
)
# What the documentation tells people to import.
PUBLIC = {
    "pipeline.clip": {"load_clip", "TextEmbedder", "RegionEncoder", "save_clip", "export_clip"},
    "pipeline.nouns": {"NounExtractor"},
    "pipeline.segmentation": {"Segmenter", "fuse"},
    "pipeline.evaluation": {"ConfusionMatrix"},
    "pipeline.regions": {"masked_regions"},
    "pipeline.storage": {"read_bytes", "write_bytes"},
    "pipeline.captions": {"open_captions"},
}


@pytest.mark.parametrize("name", FACES)
def test_every_name_of_a_face_is_there(name):
    """Also those that editors and type checkers see, and no others."""
    face = importlib.import_module(name)
    for public in face.__all__:
        assert getattr(face, public) is getattr(face, public)
    assert set(face.__all__) >= PUBLIC.get(name, set())


@pytest.mark.parametrize("name", FACES)
def test_no_name_of_a_face_is_that_of_a_module_in_it(name):
    """Importing the module would put it in the place of what the face serves."""
    face = importlib.import_module(name)
    assert not set(face.__all__) & {module for _, module, _ in pkgutil.iter_modules(face.__path__)}


def test_a_name_that_is_not_there():
    """As of any other module."""
    with pytest.raises(AttributeError, match=r"module 'pipeline\.clip' has no attribute 'no_such_name'"):
        _ = pipeline.clip.no_such_name
    with pytest.raises(ImportError, match=r"cannot import name 'no_such_name' from 'pipeline\.clip'"):
        from pipeline.clip import no_such_name  # noqa: F401


def test_faces_and_configurations_load_nothing_heavy():
    """All faces and all config.py files together."""
    names = [*FACES, *(f"{name}.config" for name in FACES), "pipeline.chain.config", "pipeline.serving.config"]
    code = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        assert error.name == name and name.endswith(".config"), error
print(json.dumps(sorted(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", code, json.dumps(names)], capture_output=True, text=True, check=True)
    heavy = {"torch", "open_clip", "spacy", "ray", "transformers", "pyarrow", "aiohttp", "botocore", "cv2", "PIL"}
    assert not heavy.intersection(json.loads(ran.stdout))
