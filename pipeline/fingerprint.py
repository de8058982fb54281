"""`config.yaml` of an output directory: what shaped it, and the refusal to mix it with anything else."""

import hashlib
import json
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

import schemas
from pipeline import storage
from pipeline.errors import UserError

_PACKAGES = (
    "ovseg-pipeline", "ray", "torch", "open_clip_torch", "spacy", "webdataset", "pyarrow", "pillow", "numpy",
    "scikit-image", "opencv-python-headless",
)  # fmt: skip


def describe(running_keys: Collection[str], configuration: dict, **parts: dict) -> dict:
    """The content of `config.yaml`.

    Args:
        running_keys: dotted keys of the configuration that may differ between two runs into one directory: where and
            how fast the job runs, not what it writes.
        parts: whatever else shapes the output, such as the digest of the source and the hashes of models.
    """
    described = {"configuration": configuration, **parts, "schemas": {"version": schemas.VERSION}}
    shaping = json.dumps(dict(_shaping(described, running_keys)), sort_keys=True)
    return {
        "fingerprint": hashlib.sha256(shaping.encode()).hexdigest(),
        **described,
        "versions": {package: _version(package) for package in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # this one, when it runs from an uploaded directory
        return None


def claim(uri: str, running_keys: Collection[str], description: dict) -> None:
    """Write `config.yaml` to `uri`, or check that the one that is there says the same.

    Raises:
        UserError: the directory belongs to something else; the differences are listed.
    """
    try:
        stored = yaml.safe_load(storage.read_bytes(uri))
    except FileNotFoundError:
        storage.write_bytes(uri, yaml.safe_dump(description, sort_keys=False, allow_unicode=True).encode())
        return
    if not isinstance(stored, dict) or "fingerprint" not in stored:
        raise UserError(f"{uri} is not a configuration of this program; choose another output directory")
    if stored["fingerprint"] != description["fingerprint"]:
        raise UserError(
            f"output: {uri.rpartition('/')[0]} was made with something else. Differences (there → now):\n"
            + "\n".join(_differences(stored, description, running_keys))
            + "\nUse the same settings to carry on, another output directory, or --overwrite."
        )


def _differences(stored: dict, now: dict, running_keys: Collection[str]) -> Iterator[str]:
    before, after = dict(_shaping(stored, running_keys)), dict(_shaping(now, running_keys))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"  {key.removeprefix('configuration.')}: {before.get(key)!r} → {after.get(key)!r}"


def _shaping(description: dict, running_keys: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The leaves of a description that shape what is written, by dotted key."""
    for key, value in _leaves(description):
        part, _, name = key.partition(".")
        runs = part == "configuration" and any(f"{name}.".startswith(f"{running}.") for running in running_keys)
        if part not in ("fingerprint", "versions") and not runs:
            yield key, value


def _leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix, value
