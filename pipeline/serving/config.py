"""What `python -m jobs.serve` can be told."""

from dataclasses import dataclass, field
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.errors import UserError
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.serving.hosts import is_name


@dataclass
class ServeConfig:
    """How requests are taken, and their limits."""

    host: str = "127.0.0.1"
    """Address to listen at. The default is this machine alone. Nobody is asked for a password: open it (0.0.0.0) only
    where everyone who can reach it may use it."""
    hosts: list[str] = field(default_factory=list)
    """Further names under which browsers reach the server: those of a proxy in front of it, or in the local network.
    Requests under other names than these, localhost and `host` are refused, since any page could have had them
    sent. Where others can reach the server, this machine's own name is known, too, and with 0.0.0.0 any IP address."""
    port: Annotated[int, Limit(ge=1, le=65_535)] = 8000
    """Port to listen at."""
    classes: str = "person, animal, vehicle, building, plant/tree, sky, road/ground, furniture"
    """The class names that the page begins with: commas between classes, slashes between synonyms."""
    max_pixels: Annotated[int, Limit(ge=1)] = 25_000_000
    """Images with more pixels are refused, before they are decoded."""
    max_megabytes: Annotated[float, Limit(gt=0)] = 32.0
    """Requests of more than this many 10⁶ bytes are refused while they arrive."""
    max_names: Annotated[int, Limit(ge=1)] = 200
    """Most class names of a request, synonyms included. Each that is new costs a pass through CLIP's text tower, for
    every template."""
    timeout_seconds: Annotated[float, Limit(gt=0)] = 120.0
    """Requests that take longer, waiting included, are given up."""
    batch_size: Annotated[int, Limit(ge=1)] = 4
    """Most images that the models work on together, from any requests."""
    queue: Annotated[int, Limit(ge=1)] = 32
    """Most requests that wait while all replicas are busy; more are refused."""
    replicas: Annotated[int, Limit(ge=1)] = 1
    """How many workers load the models and answer."""
    neighbours: Annotated[int, Limit(ge=0, le=20)] = 3
    """With `segmentation.bank`: so many of the mined regions that a region's classes rest on are named, and shown if
    their dataset can be read; 0: none."""

    def check(self) -> None:
        """Check what no limit of a number says.

        Raises:
            UserError: naming the key.
        """
        for name in self.hosts:
            if not is_name(name):
                raise UserError(
                    f"serve.hosts has {name!r}; write names without scheme, port and path, such as pictures.example.org"
                )


@dataclass(kw_only=True)
class ServerConfig(ModelsConfig):
    """The whole configuration: how images are segmented, and `serve`."""

    serve: ServeConfig = field(default_factory=ServeConfig)
