"""`config.yaml` of an output directory: what shaped it, and the refusal to mix it with anything else."""

import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any, get_args

import yaml

import schemas
from pipeline import storage
from pipeline.configuration.markers import absent_keys, running_keys
from pipeline.configuration.recipe import BEFORE, RECIPES, Kind
from pipeline.errors import UserError
from pipeline.escaping.terminal import printable
from pipeline.storage.documents import DamagedFileError, read_yaml

# For `config.yaml` without a kind, as earlier versions wrote it: keys that only the configuration of this kind has.
_KNOWN_BY: dict[Kind, tuple[str, ...]] = {
    "mine": ("captions", "matching"),
    "train": ("mode", "checkpoints"),
    "evaluate": ("dataset.kind", "images_per_chunk"),
    "segment": ("images", "classes"),
}

_PACKAGES = (
    "ovseg-pipeline", "ray", "torch", "open_clip_torch", "spacy", "webdataset", "pyarrow", "pillow", "numpy",
    "scikit-image", "opencv-python-headless",
)  # fmt: skip


def describe(kind: Kind, config_type: type, configuration: dict, **parts: dict) -> dict:
    """The content of `config.yaml`.

    Args:
        kind: the job that writes the directory.
        config_type: the dataclass of the configuration. Fields marked `Running` may differ between two runs into one
            directory: where and how fast the job runs, not what it writes.
        configuration: all of it, as a dictionary.
        parts: whatever else shapes the output, such as the digest of the source and the hashes of models.
    """
    described = {
        "kind": kind,
        "recipe": RECIPES[kind],
        "configuration": configuration,
        **parts,
        "schemas": {"version": schemas.VERSION},
    }
    shaping = json.dumps(dict(_shaping(described, config_type)), sort_keys=True)
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


def write_or_check(uri: str, config_type: type, description: dict) -> None:
    """Write `config.yaml` to `uri`, or check that the one that is there says the same.

    Libraries of other versions than those that began the directory are told on stderr, and taken. A key that is younger
    than the directory is taken where it has the value that its absence means (`AbsentMeans`).

    Raises:
        UserError: the directory belongs to something else; the differences are listed.
    """
    try:
        stored = read_yaml(uri)
    except FileNotFoundError:
        storage.write_bytes(uri, yaml.safe_dump(description, sort_keys=False, allow_unicode=True).encode())
        return
    if not isinstance(stored, dict) or "fingerprint" not in stored:
        raise UserError(f"{uri} is not a configuration of this program; choose another output directory")
    if stored["fingerprint"] != description["fingerprint"]:
        raise UserError(
            f"output: {uri.rpartition('/')[0]} was made with something else. Differences (there → now):\n"
            + "\n".join(_differences(stored, description, config_type))
            + "\nUse the same settings to carry on, another output directory, or --overwrite."
        )
    if changed := "; ".join(_changed_versions(stored, description)):
        print(printable(f"note: {uri.rpartition('/')[0]} was begun with other versions: {changed}"), file=sys.stderr)


def check_configuration(stored: dict, uri: str, config_type: type, configuration: dict) -> None:
    """Check that a directory was made with this configuration, for a job that adds to it and knows neither its source
    nor its models.

    Args:
        stored: the content of its `config.yaml`.
        uri: of that, for messages.
        config_type, configuration: as of `describe`.

    Raises:
        UserError: it was made with something else; the differences are listed.
    """
    before, now = ({"configuration": one, "recipe": None} for one in (stored["configuration"], configuration))
    if differences := list(_differences(before, now, config_type)):
        raise UserError(
            f"output: {uri.rpartition('/')[0]} was made with something else. Differences (there → now):\n"
            + "\n".join(differences)
            + "\nUse the same settings as it was made with."
        )


def _changed_versions(stored: dict, now: dict) -> Iterator[str]:
    before = stored.get("versions")
    for package, installed in now["versions"].items():
        if isinstance(before, dict) and before.get(package) != installed:
            yield f"{package} {before.get(package) or 'unknown'}, now {installed or 'unknown'}"


def kind_of(description: Any) -> Kind | None:
    """The job that wrote a `config.yaml`; None if none did."""
    if not isinstance(description, dict) or not isinstance(configuration := description.get("configuration"), dict):
        return None
    if (kind := description.get("kind")) is not None:
        return kind if kind in get_args(Kind) else None
    for known, keys in _KNOWN_BY.items():
        if all(_value(configuration, key) is not None for key in keys):
            return known
    return None


def kind_of_directory(output: str) -> Kind | None:
    """The job that made an output directory, by its `config.yaml`; None if that is no job's, or damaged.

    Raises:
        FileNotFoundError: there is no `config.yaml`.
        OSError: storage cannot be read.
    """
    try:
        return kind_of(read_yaml(storage.join(output, "config.yaml")))
    except DamagedFileError:
        return None


def _value(configuration: Any, key: str) -> Any:
    for name in key.split("."):
        configuration = configuration.get(name) if isinstance(configuration, dict) else None
    return configuration


def _differences(stored: dict, now: dict, config_type: type) -> Iterator[str]:
    before, after = dict(_shaping(stored, config_type)), dict(_shaping(now, config_type))
    absent = absent_keys(config_type)
    was, recipe = before.pop("recipe", BEFORE), after.pop("recipe")
    if was != recipe:
        when = " (made before recipes had numbers)" if was == BEFORE else ""
        yield (
            f"  recipe: {was!r}{when} → {recipe!r}: this version of the program makes other output of the same input; "
            "to carry on, use the version that began it"
        )
    for key in sorted(before.keys() | after.keys()):
        name = key.removeprefix("configuration.")
        there, here = (leaves.get(key, absent.get(name)) for leaves in (before, after))
        if there != here:
            yield f"  {name}: {there!r} → {here!r}"


def _shaping(description: dict, config_type: type) -> Iterator[tuple[str, Any]]:
    """The leaves of a description that shape what is written, by dotted key; without those that are as if absent."""
    running, absent = running_keys(config_type), absent_keys(config_type)
    for key, value in leaves(description):
        part, _, name = key.partition(".")
        configured = part == "configuration"
        runs = configured and any(f"{name}.".startswith(f"{prefix}.") for prefix in running)
        as_if_absent = configured and name in absent and value == absent[name]
        if part not in ("fingerprint", "versions") and not runs and not as_if_absent:
            yield key, value


def leaves(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a description that is no dictionary, with its dotted key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
