"""`config.yaml` of an output directory: what shaped it, and the refusal to mix it with anything else."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import yaml

from pipeline import storage
from pipeline.errors import UserError
from pipeline.layout import Layout
from pipeline.mining.config import MineConfig

# They may differ between two runs into one directory: where and how fast the job runs, not what it writes.
# (Batch size and threads can move the last bits of a score; the README says so.)
_RUNNING_KEYS = (
    "resources", "output", "max_reject_fraction", "clip.batch_size", "clip.threads",
)  # fmt: skip

_PACKAGES = (
    "ovseg-pipeline", "ray", "torch", "open_clip_torch", "spacy", "webdataset", "pyarrow", "pillow", "numpy",
    "scikit-image", "opencv-python-headless",
)  # fmt: skip


def describe(config: MineConfig, source: dict, models: dict) -> dict:
    """The content of `config.yaml`.

    Args:
        source: digest and counts of the listing.
        models: per part (nouns, proposals, clip) the identity of what was loaded, with its hash.
    """
    described = {"configuration": asdict(config), "source": source, "models": models}
    shaping = json.dumps(dict(_shaping(described)), sort_keys=True)
    return {
        "fingerprint": hashlib.sha256(shaping.encode()).hexdigest(),
        **described,
        "versions": {package: version(package) for package in _PACKAGES},
    }


def claim(layout: Layout, description: dict) -> None:
    """Write `config.yaml`, or check that the one that is there says the same.

    Raises:
        UserError: the directory belongs to another configuration, source or model (the differences are listed), or
            holds shards without a `config.yaml`.
    """
    try:
        stored = yaml.safe_load(storage.read_bytes(layout.config))
    except FileNotFoundError:
        if layout.committed() or layout.present("captions"):
            raise UserError(
                f"output: {layout.uri} holds shards but no config.yaml, so nothing says what made them; "
                "choose another directory"
            ) from None
        storage.write_bytes(layout.config, yaml.safe_dump(description, sort_keys=False, allow_unicode=True).encode())
        return
    if not isinstance(stored, dict) or "fingerprint" not in stored:
        raise UserError(f"{layout.config} is not a configuration of this program; choose another output directory")
    if stored["fingerprint"] != description["fingerprint"]:
        raise UserError(
            f"output: {layout.uri} was made with something else. Differences (there → now):\n"
            + "\n".join(_differences(stored, description))
            + "\nUse the same settings to carry on, another output directory, or --overwrite."
        )


def _differences(stored: dict, now: dict) -> Iterator[str]:
    before, after = dict(_shaping(stored)), dict(_shaping(now))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"  {key.removeprefix('configuration.')}: {before.get(key)!r} → {after.get(key)!r}"


def _shaping(description: dict) -> Iterator[tuple[str, Any]]:
    """The leaves of a description that shape what is written, by dotted key."""
    for part in ("configuration", "source", "models"):
        for key, value in _leaves(description[part], part):
            name = key.removeprefix("configuration.")
            if not any(name == running or name.startswith(f"{running}.") for running in _RUNNING_KEYS):
                yield key, value


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}")
    else:
        yield prefix, value
