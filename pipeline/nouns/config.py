"""The `nouns` section of the configuration."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans

NON_VISUAL = ["@non_visual_attributes"]


@dataclass
class NounsConfig:
    """Which words of a caption count as its nouns, and which nouns make the vocabulary."""

    pipeline: str = "auto"
    """spaCy pipeline: an installed package, a folder, "bundled" for the project's own English pipeline, or
    "auto": en_core_web_sm if it is installed, else the bundled one. Which one ran is in the output's config.yaml."""

    form: Literal["lemma", "surface", "phrase"] = "lemma"
    """What names a noun in the vocabulary: its dictionary form ("tennis racket") or as it was written, in lower
    case ("tennis rackets"). phrase: its dictionary form, and beside it the phrase with what stands before it and can be
    seen ("red tennis racket"); a noun that stands before another one ("brick wall") is then part of that one's phrase.
    `matching.text` and, in training, `data.text` choose between the two."""

    proper_nouns: bool = False
    """Also take names ("Amtrak"), which are tagged PROPN, not NOUN."""

    compounds: bool = True
    """Take "fire hydrant" and "tennis racket" as one noun each."""

    stop_list: list[str] = field(default_factory=list)
    """Nouns to leave out, by lemma. "@non_visual" stands for the built-in list of frequent nouns that name nothing
    one could cut out (top, side, group, picture, …). Empty: no filter, as in the paper."""

    attribute_stop_list: list[Annotated[str, AbsentMeans(NON_VISUAL)]] = field(default_factory=lambda: list(NON_VISUAL))
    """Words that no phrase takes. "@non_visual_attributes" stands for the built-in list of words that show nothing
    (several, other, nice, …). Empty: no filter. With `form: phrase` only."""

    of_phrases: Annotated[bool, AbsentMeans(False)] = False
    """Also take what follows with "of" and without an article: "bowl of soup". With `form: phrase` only."""

    max_caption_length: Annotated[int, Limit(ge=1)] = 2000
    """Captions with more characters than this are rejected as "too_long"."""

    min_count: Annotated[int, Limit(ge=1)] = 1
    """Nouns found in fewer images than this are left out of the vocabulary, and make no pairs."""

    max_vocabulary: Annotated[int, Limit(ge=1)] | None = None
    """Keep at most this many nouns, the most frequent ones; null: all."""
