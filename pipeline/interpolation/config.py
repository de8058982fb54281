"""What `python -m jobs.train interpolate` can be told."""

from dataclasses import dataclass, field
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import LocalPath
from pipeline.retention.config import RetentionConfig


@dataclass
class InterpolateConfig:
    """How the weights between the original CLIP and the adapted one are judged."""

    alphas: list[Annotated[float, Limit(ge=0, le=1)]] = field(
        default_factory=lambda: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    )
    """Shares of the adapted weights, 0..1; 0 (the original CLIP) and 1 (the adapted one) are measured besides."""
    max_lost: Annotated[float, Limit(ge=0)] = 1.0
    """Points of retention that may be lost; of the shares that lose no more, the one that gains most is chosen."""
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    """What the loss is measured on. Without sets: the run's own `retention`."""
    architecture: Annotated[str | None, LocalPath.LOCAL_DIR] = None
    """Where the original CLIP is now, if it has moved since the run: as `model.architecture` of the run."""
    weights: Annotated[str | None, LocalPath.FILE_OR_NAME] = None
    """Likewise, as `model.weights` of the run."""
    gpu: bool | None = None
    """Whether to measure on a GPU. Empty: if the cluster has any."""
