"""The ways to adapt the small CLIP that a demo compares."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.training.config import Mode

Pairs = Literal["mined", "annotated", "natural"]


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
    where: str | None = None
    """Condition on the mined pairs."""
    changes: dict = field(default_factory=dict)
    """Other keys of the training configuration: {"loss.kind": "classification"}."""


UNTOUCHED = "untouched"

# The rate of the reference's code; the paper's is 2e-2.
_RATE = {"mask_prompt.learning_rate": 5e-2}

MASK_PROMPT = Variant("mask-prompt", "mask prompts only", "mask_prompt", changes=_RATE)
FULL = Variant("full", "full finetuning", "full")
FULL_THEN_MASK_PROMPT = Variant(
    "full-then-mask-prompt", "full, then mask prompts", "mask_prompt", start="full", changes=_RATE
)
PAPER = (MASK_PROMPT, FULL, FULL_THEN_MASK_PROMPT)
"""The paper's Table 3, in its order."""

ANNOTATED = Variant("annotated", "true masks, 14 classes", "full", pairs="annotated")
UNMASKED = Variant("unmasked", "the same pairs, not masked", "full", changes={"data.fill": "none"})
NATURAL = Variant(
    "natural", "more natural crops, not masked", "full", pairs="natural", changes={"data.unmasked_share": 1.0}
)


def ablations(stop_list: list[str], score_quantile: float) -> dict[str, list[Variant]]:
    """The variants of each ablation, beside those of the paper's Table 3.

    Args:
        stop_list: nouns that show nothing.
        score_quantile: the score above which the better 60 % of the mined pairs are.
    """
    nouns = ", ".join(f"'{noun}'" for noun in stop_list)
    return {
        "masks": [ANNOTATED],
        "controls": [UNMASKED, NATURAL],
        "captions": [Variant("one-caption", "one caption an image", "full", where="caption_index = 0")],
        "stop-list": [Variant("stop-list", "without nouns that show nothing", "full", where=f"noun NOT IN ({nouns})")],
        "score": [Variant("score", "best 60 % by score", "full", where=f"clip_score >= {score_quantile}")],
        "depth": [
            Variant(
                f"depth-{depth}",
                f"mask prompts of depth {depth}",
                "mask_prompt",
                changes={**_RATE, "mask_prompt.depth": depth},
            )
            for depth in (1, 4)
        ],
        "order": [Variant("mask-prompt-then-full", "mask prompts, then full", "full", start="mask-prompt")],
        "loss": [
            Variant(f"loss-{kind}", f"loss {kind}", "full", changes={"loss.kind": kind})
            for kind in ("multi_positive", "classification")
        ],
    }
