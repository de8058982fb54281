"""What a simulation is told: `nodes=64,gpus_per_node=8,images=100_000_000`."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_type_hints

from pipeline.configuration import limits
from pipeline.configuration.limits import Limit
from pipeline.errors import UserError


@dataclass(frozen=True)
class SimulationConfig:
    """The machines, the work, how long it takes, and prices. Defaults are assumptions."""

    nodes: Annotated[int, Limit(gt=0)]
    """Machines of the cluster."""
    images: Annotated[int, Limit(gt=0)]
    """Images of the whole job."""
    gpus_per_node: Annotated[int, Limit(gt=0)] = 8
    cpus_per_node: Annotated[int, Limit(gt=0)] = 64
    shards: Annotated[int, Limit(gt=0)] | None = None
    """Shards that are really scheduled. Empty: eight for each GPU worker, at most all."""
    memory_gb: Annotated[float, Limit(gt=0)] | None = None
    """Memory that the simulated machines may take here. Empty: two thirds of what is free."""
    measured: str | None = None
    """Output directory of a mining job: seconds and pairs are those of its shards, not those below."""
    read_seconds: Annotated[float, Limit(gt=0)] = 0.05
    """Seconds to read one image."""
    propose_seconds: Annotated[float, Limit(gt=0)] = 0.25
    """Seconds to propose masks for one image."""
    match_seconds: Annotated[float, Limit(gt=0)] = 0.25
    """Seconds to run CLIP on the masks of one image."""
    write_seconds: Annotated[float, Limit(gt=0)] = 0.05
    """Seconds to write the pairs of one image."""
    spread: Annotated[float, Limit(ge=0, le=1)] = 0.2
    """Seconds of a shard lie within this share around the mean."""
    seed: Annotated[int, Limit(ge=0)] = 0
    image_bytes: Annotated[float, Limit(gt=0)] = 160_000
    """Mean size of an image."""
    pairs_per_image: Annotated[float, Limit(gt=0)] = 2.5
    dollars_per_gpu_hour: Annotated[float, Limit(ge=0)] = 1.0
    dollars_per_1000_puts: Annotated[float, Limit(ge=0)] = 0.005
    dollars_per_1000_gets: Annotated[float, Limit(ge=0)] = 0.0004


def parse_simulation(text: str) -> SimulationConfig:
    """Read `key=value,key=value`; numbers may have underscores.

    Raises:
        UserError: naming the key.
    """
    kinds = {name: (get_args(kind) or (kind,))[0] for name, kind in get_type_hints(SimulationConfig).items()}
    given: dict[str, Any] = {}  # each of the type of its field
    for part in text.split(","):
        key, separator, value = (piece.strip() for piece in part.partition("="))
        if key not in kinds or not separator:
            raise UserError(f"simulate: {part.strip()!r} is no key=value with one of these keys: {', '.join(kinds)}")
        if key in given:
            raise UserError(f"simulate: {key} is there twice")
        given[key] = _value(key, value, kinds[key])
    if missing := [key for key in ("nodes", "images") if key not in given]:
        raise UserError(f"simulate: {' and '.join(missing)} must be given, as in nodes=64,images=100_000_000")
    config = SimulationConfig(**given)
    try:
        limits.check(config)
    except UserError as error:
        raise UserError(f"simulate: {error}") from None
    return config


def _value(key: str, text: str, kind: type) -> int | float | str:
    try:
        value = kind(text)
    except ValueError:
        raise UserError(f"simulate: {key} is {text!r}, not {'a whole number' if kind is int else 'a number'}") from None
    if kind is str:
        if not value:
            raise UserError(f"simulate: {key} is empty")
        return value
    if math.isinf(value):
        raise UserError(f"simulate: {key} is {text}; it must be finite")
    return value
