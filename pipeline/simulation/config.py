"""What a simulation is told: `nodes=64,gpus_per_node=8,images=100_000_000`."""

import math
from dataclasses import dataclass, fields
from typing import get_args

from pipeline.errors import UserError


@dataclass(frozen=True)
class SimulationConfig:
    """The machines, the work, how long it takes, and prices. Defaults are assumptions."""

    nodes: int
    """Machines of the cluster."""
    images: int
    """Images of the whole job."""
    gpus_per_node: int = 8
    cpus_per_node: int = 64
    shards: int | None = None
    """Shards that are really scheduled. Empty: eight for each GPU worker, at most all."""
    memory_gb: float | None = None
    """Memory that the simulated machines may take here. Empty: two thirds of what is free."""
    measured: str | None = None
    """Output directory of a mining job: seconds and pairs are those of its shards, not those below."""
    read_seconds: float = 0.05
    """Seconds to read one image,"""
    propose_seconds: float = 0.25
    """to propose masks for it,"""
    match_seconds: float = 0.25
    """to run CLIP on them,"""
    write_seconds: float = 0.05
    """and to write its pairs."""
    spread: float = 0.2
    """Seconds of a shard lie within this share around the mean."""
    seed: int = 0
    image_bytes: float = 160_000
    """Mean size of an image."""
    pairs_per_image: float = 2.5
    dollars_per_gpu_hour: float = 1.0
    dollars_per_1000_puts: float = 0.005
    dollars_per_1000_gets: float = 0.0004


_MAY_BE_ZERO = ("spread", "seed", "dollars_per_gpu_hour", "dollars_per_1000_puts", "dollars_per_1000_gets")


def parse_simulation(text: str) -> SimulationConfig:
    """Read `key=value,key=value`; numbers may have underscores.

    Raises:
        UserError: naming the key.
    """
    kinds = {field.name: (get_args(field.type) or (field.type,))[0] for field in fields(SimulationConfig)}
    given = {}
    for part in text.split(","):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if key not in kinds or not separator:
            raise UserError(f"simulate: {part.strip()!r} is no key=value with one of these keys: {', '.join(kinds)}")
        if key in given:
            raise UserError(f"simulate: {key} is there twice")
        given[key] = _value(key, value, kinds[key])
    if missing := [key for key in ("nodes", "images") if key not in given]:
        raise UserError(f"simulate: {' and '.join(missing)} must be given, as in nodes=64,images=100_000_000")
    if given.get("spread", 0.0) > 1:
        raise UserError(f"simulate: spread is {given['spread']}; it must not be above 1")
    return SimulationConfig(**given)


def _value(key: str, text: str, kind: type) -> int | float | str:
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"simulate: {key} is {text!r}, not {'a whole number' if kind is int else 'a number'}") from None
    if kind is str:
        if not value:
            raise UserError(f"simulate: {key} is empty")
        return value
    if not math.isfinite(value) or value < 0 or (value == 0 and key not in _MAY_BE_ZERO):
        raise UserError(f"simulate: {key} is {text}; it must be {'0 or more' if key in _MAY_BE_ZERO else 'above 0'}")
    return value
