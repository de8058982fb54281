"""What `regions.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit

Fill = Literal["mean", "zero", "none"]


@dataclass
class RegionsConfig:
    """How a masked region becomes a CLIP input."""

    fill: Fill = "mean"
    """Colour of the pixels outside the mask: CLIP's mean colour (0 after normalisation), black (zero), or none: they
    stay as they are (paper App. A.1)."""
    expand: Annotated[float, Limit(ge=1)] = 1.0
    """The tight box is scaled about its centre by this factor before cropping."""
