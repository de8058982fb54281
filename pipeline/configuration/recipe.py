"""How outputs are made, as a number for each kind of output: part of the fingerprint, so that what two versions of
the code make is never mixed in one directory.

A number is raised by whoever changes the code so that the same configuration, input and models would give other bytes
(of a dataset) or other results (of a training run, an evaluation, a segmentation): another order of samples, another
crop, another default that is no configuration key. It stays where the output stays, whatever else changes: speed,
messages, names. `tests/golden` holds small outputs beside the number that they belong to, and says when they change.

Readers read outputs of any recipe: what columns and files mean is for `schemas.VERSION` to tell.
"""

from typing import Literal

Kind = Literal["mine", "train", "evaluate", "segment", "retention"]
"""The job that an output directory belongs to."""

COMMANDS: dict[Kind, str] = {
    "mine": "python -m jobs.mine",
    "train": "python -m jobs.train",
    "evaluate": "python -m jobs.evaluate",
    "segment": "python -m jobs.segment",
    "retention": "python -m jobs.evaluate classification or retrieval",
}
"""What makes it, for messages."""

RECIPES: dict[Kind, int] = {"mine": 2, "train": 1, "evaluate": 2, "segment": 2, "retention": 1}

BEFORE = 0
"""The recipe of directories that were made before recipes had numbers."""
