"""No output changes without its recipe: small outputs are what they were when the recipe got its number."""

from pathlib import Path

import pytest

from pipeline.configuration.recipe import RECIPES
from tests.golden.inputs import write_inputs
from tests.golden.outputs import OUTPUTS, Found
from tests.golden.stored import read_stored, versions

TOLERANCE = 2e-3
"""Of what is no whole number; processors differ by far less, and what changes an output changes it by more."""


@pytest.fixture(scope="module")
def inputs(made_once) -> Path:
    return made_once("golden-inputs", write_inputs)


def changes(stored: Found, found: Found) -> list[str]:
    """The names of what differs."""
    return [
        name
        for name in sorted(stored.keys() | found.keys())
        if not (
            stored.get(name) == pytest.approx(found.get(name), abs=TOLERANCE)
            if isinstance(found.get(name), float) and isinstance(stored.get(name), float)
            else stored.get(name) == found.get(name)
        )
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.usefixtures("ray_cluster")
def test_outputs_change_only_with_their_recipe(kind, inputs, tmp_path):
    command = f"python -m tests.golden {kind}"
    if (stored := read_stored().get(kind)) is None:
        pytest.skip(f"nothing is stored of {kind}: {command}")
    assert stored["recipe"] == RECIPES[kind], f"{kind} has another recipe now: store its output by {command}"
    if stored["versions"] != versions():
        pytest.skip(f"stored with other versions of libraries: {stored['versions']}; {command} stores it with these")
    changed = changes(stored["found"], OUTPUTS[kind](inputs, tmp_path / "output"))
    assert not changed, (
        f"what `{kind}` writes has changed: {', '.join(changed)}. If that is meant, raise RECIPES[{kind!r}] in "
        f"pipeline/configuration/recipe.py, so that nobody mixes the two, and store the new output by {command}"
    )


def test_changes_are_named():
    stored = {"a rows": "1", "score": 0.5, "gone": "2", "mean": 0.1}
    assert changes(stored, {"a rows": "1", "score": 0.5004, "gone": "2", "mean": 0.1}) == []
    assert changes(stored, {"a rows": "x", "score": 0.51, "mean": 0.1, "new": 0.0}) == [
        "a rows",
        "gone",
        "new",
        "score",
    ]
