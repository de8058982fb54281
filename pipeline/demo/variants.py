"""The ways to adapt the small CLIP that a demo compares."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.nouns.stop_lists import resolve_stop_list
from pipeline.training.config import Mode

Pairs = Literal["mined", "annotated", "natural"]

NON_VISUAL = resolve_stop_list(["@non_visual"])
VISUAL_NOUNS = "noun NOT IN ({})".format(", ".join(f"'{noun}'" for noun in sorted(NON_VISUAL)))
"""Condition on mined pairs: what `nouns.stop_list: ["@non_visual"]` leaves. Captions of this world are full of words
such as "picture" and "side", which no region shows: 40 % of their nouns, where COCO's captions have 10 %."""


@dataclass(frozen=True)
class Variant:
    """One training run."""

    name: str
    """Names its directory."""
    title: str
    mode: Mode
    start: str = "untouched"
    """The CLIP to adapt: untouched, or the name of another variant."""
    pairs: Pairs = "mined"
    """What it learns from: mined region–noun pairs, true masks of few classes, or natural crops with their noun."""
    where: str | None = VISUAL_NOUNS
    """Condition on the pairs."""
    changes: dict = field(default_factory=dict)
    """Other keys of the training configuration: {"loss.kind": "classification"}."""


UNTOUCHED = "untouched"

MASK_PROMPT = Variant("mask-prompt", "mask prompts only", "mask_prompt")
FULL = Variant("full", "full finetuning", "full")
FULL_THEN_MASK_PROMPT = Variant("full-then-mask-prompt", "full, then mask prompts", "mask_prompt", start="full")
PAPER = (MASK_PROMPT, FULL, FULL_THEN_MASK_PROMPT)
"""The paper's Table 3, in its order."""

ANNOTATED = Variant("annotated", "true masks, 14 classes", "full", pairs="annotated")
UNMASKED = Variant("unmasked", "the same pairs, not masked", "full", changes={"data.fill": "none"})
NATURAL = Variant(
    "natural", "more natural crops, not masked", "full", pairs="natural", changes={"data.unmasked_share": 1.0}
)


def ablations(good_score: float) -> dict[str, list[Variant]]:
    """The variants of each ablation, beside those of the paper's Table 3.

    Args:
        good_score: the score that the better 60 % of the mined pairs reach.
    """
    return {
        "masks": [ANNOTATED],
        "controls": [UNMASKED, NATURAL],
        "captions": [
            Variant("one-caption", "one caption an image", "full", where=f"{VISUAL_NOUNS} AND caption_index = 0")
        ],
        "stop-list": [Variant("all-nouns", "also nouns that show nothing", "full", where=None)],
        "score": [
            Variant("score", "best 60 % by score", "full", where=f"{VISUAL_NOUNS} AND clip_score >= {good_score}")
        ],
        "depth": [
            Variant(
                f"depth-{depth}", f"mask prompts of depth {depth}", "mask_prompt", changes={"mask_prompt.depth": depth}
            )
            for depth in (1, 4)
        ],
        "order": [Variant("mask-prompt-then-full", "mask prompts, then full", "full", start="mask-prompt")],
        "loss": [
            Variant(f"loss-{kind}", f"loss {kind}", "full", changes={"loss.kind": kind})
            for kind in ("contrastive", "multi_positive")
        ],
    }
