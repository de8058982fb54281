"""The `nouns` section of the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit


@dataclass
class NounsConfig:
    """Which words of a caption count as its nouns, and which nouns make the vocabulary."""

    pipeline: str = "auto"
    """spaCy pipeline: an installed package, a folder, "bundled" for the project's own English pipeline, or
    "auto": en_core_web_sm if it is installed, else the bundled one. Which one ran is in the output's config.yaml."""

    form: Literal["lemma", "surface"] = "lemma"
    """What names a noun in the vocabulary: its dictionary form ("tennis racket") or as it was written, in lower
    case ("tennis rackets")."""

    proper_nouns: bool = False
    """Also take names ("Amtrak"), which are tagged PROPN, not NOUN."""

    compounds: bool = True
    """Take "fire hydrant" and "tennis racket" as one noun each."""

    stop_list: list[str] = field(default_factory=list)
    """Nouns to leave out, by lemma. "@non_visual" stands for the built-in list of frequent nouns that name nothing
    one could cut out (top, side, group, picture, …). Empty: no filter, as in the paper."""

    max_caption_length: Annotated[int, Limit(ge=1)] = 2000
    """Captions with more characters than this are rejected as "too_long"."""

    min_count: Annotated[int, Limit(ge=1)] = 1
    """Nouns found in fewer images than this are left out of the vocabulary, and make no pairs."""

    max_vocabulary: Annotated[int, Limit(ge=1)] | None = None
    """Keep at most this many nouns, the most frequent ones; null: all."""
