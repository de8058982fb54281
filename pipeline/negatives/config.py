"""The `negatives` section of a mining job."""

from dataclasses import dataclass, field
from typing import Annotated

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath

NOUN = "noun"
_KINDS = [NOUN, "colour", "material", "pattern", "shape", "size", "state"]


@dataclass
class NegativesConfig:
    """Texts that are near to a pair's noun or phrase and wrong for its region."""

    count: Annotated[int, Limit(ge=0, le=100), AbsentMeans(0)] = 0
    """How many a pair gets at most; fewer where fewer are found. 0: none, as in the paper."""
    seed: Annotated[int, Limit(ge=0), AbsentMeans(0)] = 0
    """Which of the texts that are possible a pair gets."""
    kinds: list[Annotated[str, LocalPath.FILE_OR_NAME, AbsentMeans(_KINDS)]] = field(
        default_factory=lambda: list(_KINDS)
    )
    """What is changed: the noun ("noun": WordNet's siblings of it), or, in phrases, a word that says how the thing
    looks, by one of its kind. Also text files of your own, in the format of pipeline/negatives/kinds."""
