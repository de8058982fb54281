"""What `python -m jobs.serve` can be told."""

from dataclasses import dataclass, field

from pipeline.errors import UserError
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.serving.hosts import is_name

_MOST_PORT = 65535


@dataclass
class ServeConfig:
    """How requests are taken, and their limits."""

    host: str = "127.0.0.1"
    """Address to listen at. The default is this machine alone. Nobody is asked for a password: open it (0.0.0.0) only
    where everyone who can reach it may use it."""
    hosts: list[str] = field(default_factory=list)
    """Further names under which it is asked, as browsers see them: those of a proxy in front of it, or in the local
    network. Requests under other names than these, localhost and `host` are refused, since any page could have had them
    sent. Where others can reach the server, this machine's own name is known, too, and with 0.0.0.0 any IP address."""
    port: int = 8000
    """Port to listen at."""
    classes: str = "person, animal, vehicle, building, plant/tree, sky, road/ground, furniture"
    """The class names that the page begins with: commas between classes, slashes between synonyms."""
    max_pixels: int = 25_000_000
    """Images with more pixels are refused, before they are decoded."""
    max_megabytes: float = 32.0
    """Requests with more are refused while they arrive; 10^6 bytes."""
    max_names: int = 200
    """Most class names of a request, synonyms included. Each that is new costs a pass through CLIP's text tower, for
    every template."""
    timeout_seconds: float = 120.0
    """Requests that take longer are given up, with their waiting."""
    batch_size: int = 4
    """Most images that the models work on together, from any requests."""
    queue: int = 32
    """Requests that wait while all replicas are busy; more are refused."""
    replicas: int = 1
    """Workers with the models."""

    def check(self) -> None:
        """Raise UserError, naming the key, for values that cannot mean anything."""
        for key in ("port", "max_pixels", "max_megabytes", "max_names", "timeout_seconds", "batch_size", "queue"):
            if not getattr(self, key) > 0:
                raise UserError(f"serve.{key} is {getattr(self, key)}; it must be above 0")
        for name in self.hosts:
            if not is_name(name):
                raise UserError(
                    f"serve.hosts has {name!r}; write names without scheme, port and path, such as pictures.example.org"
                )
        if self.replicas < 1:
            raise UserError(f"serve.replicas is {self.replicas}; it must be at least 1")
        if self.port > _MOST_PORT:
            raise UserError(f"serve.port is {self.port}; ports end at {_MOST_PORT}")


@dataclass(kw_only=True)
class ServerConfig(ModelsConfig):
    """The whole configuration: how images are segmented, and `serve`."""

    serve: ServeConfig = field(default_factory=ServeConfig)
