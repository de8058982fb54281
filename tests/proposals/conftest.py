"""Fixtures of the tests of proposals."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.proposals.coco_files import BOX, CATEGORIES, IMAGE, OTHER, Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes annotations, returns the path. Image 1 is annotated with `objects`, image 2 with one good object."""

    def write(*objects: dict, last: tuple[dict, ...] = (), **parts: Any) -> str:
        annotations = [{"id": 10 + place, "image_id": 1, "category_id": 3} | o for place, o in enumerate(objects)]
        good = {"id": 99, "image_id": 2, "category_id": 4, "segmentation": [BOX]}
        content = {"images": [IMAGE, OTHER], "annotations": [*annotations, good, *last], "categories": CATEGORIES}
        path = tmp_path / "instances.json"
        path.write_text(json.dumps(content | parts))
        return str(path)

    return write


@pytest.fixture(scope="session")
def random_models(tmp_path_factory) -> dict[str, dict]:
    """Small models with random weights: of each learned backend that can be made here, its options."""
    from tests.proposals.random_models import save_random_models

    return save_random_models(tmp_path_factory.mktemp("models"))
