"""What two outputs were made with, key by key."""

from collections.abc import Mapping
from typing import Any

from pipeline.configuration.fingerprint import leaves
from pipeline.configuration.markers import absent_keys, running_keys

_SCORES_DEPEND_ON = ("models.clip.sha256", "configuration.clip.templates", "configuration.regions.")
"""Keys of `config.yaml` that say what a score is."""


def differing_settings(a: Mapping, b: Mapping, config_type: type) -> list[tuple[str, Any, Any]]:
    """Keys of two `config.yaml` with another value, and both values; None where a key is absent. Sorted by key.

    Keys that say where and how fast a job runs are left out, and so is what follows from others (`fingerprint`). A key
    that is younger than an output has there the value that its absence means.

    Args:
        config_type: the dataclass of the configuration.
    """
    running, absent = running_keys(config_type), absent_keys(config_type)
    values_a, values_b = dict(leaves(a)), dict(leaves(b))
    found = []
    for key in sorted(values_a.keys() | values_b.keys()):
        name = key.removeprefix("configuration.")
        configured = name != key
        if key == "fingerprint" or (configured and any(f"{name}.".startswith(f"{one}.") for one in running)):
            continue
        meant = absent.get(name) if configured else None
        value_a, value_b = values_a.get(key, meant), values_b.get(key, meant)
        if value_a != value_b:
            found.append((name, value_a, value_b))
    return found


def scores_comparable(a: Mapping, b: Mapping) -> bool:
    """Whether equal scores mean the same in both datasets: one CLIP, one set of templates, regions cut alike."""
    chosen = [
        {key: value for key, value in leaves(description) if key.startswith(_SCORES_DEPEND_ON)}
        for description in (a, b)
    ]
    return chosen[0] == chosen[1]
