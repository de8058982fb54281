"""When two pairs count as different."""

from dataclasses import dataclass
from typing import Annotated

from pipeline.configuration.limits import Limit


@dataclass(frozen=True)
class DifferencesConfig:
    """When a pair of both datasets counts as another one, and what the work may take."""

    min_iou: Annotated[float, Limit(gt=0, le=1)] = 0.5
    """A pair whose two masks overlap less (intersection over union) has moved to another region."""
    score_shift: Annotated[float, Limit(ge=0, le=2)] = 0.02
    """The score of a pair has shifted if it differs by more than this; for scores of one CLIP."""
    rank_shift: Annotated[float, Limit(ge=0, le=1)] = 0.1
    """The score of a pair has shifted if its rank among the pairs of both datasets (0 the lowest score, 1 the highest)
    differs by more than this; for scores of two CLIPs, whose cosines cannot be compared."""
    memory_mb: Annotated[int, Limit(ge=100)] = 400
    """What DuckDB may hold in memory, in 10⁶ bytes; the rest goes to a temporary folder."""


DEFAULT = DifferencesConfig()
"""What counts where nobody says otherwise."""
