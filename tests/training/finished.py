"""Comparing a finished run with another."""

import json
from pathlib import Path

from safetensors.torch import load_file

from pipeline import storage


def assert_same_model(output: str, expected: Path, folder: Path) -> None:
    """That two runs ended with the same weights, to the last bit.

    Args:
        output: URI of the run.
        expected: output directory of the other.
        folder: where the files of the first may be copied to.
    """
    for name in json.loads(storage.read_bytes(f"{output}/result.json"))["files"]:
        (folder / Path(name).name).write_bytes(storage.read_bytes(f"{output}/{name}"))
    for name in ("open_clip_model.safetensors", "mask_prompts.safetensors"):
        found, wanted = load_file(folder / name), load_file(expected / "model" / name)
        assert found.keys() == wanted.keys()
        assert all(found[key].equal(wanted[key]) for key in wanted)
