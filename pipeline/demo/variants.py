"""The ways to adapt the small CLIP that a demo compares."""

from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.nouns.stop_lists import resolve_stop_list
from pipeline.training.config import Mode

Pairs = Literal["mined", "visual", "phrases", "annotated", "natural"]

Labelled = int | Literal["all"]
"""So many labels; "all": the truth of every pair."""

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
    """What it learns from: mined region–noun pairs; pairs mined of visual nouns alone; pairs of phrases, with hard
    negatives and a second opinion; true masks of few classes; or natural crops with their noun."""
    where: str | None = VISUAL_NOUNS
    """Condition on the pairs."""
    changes: dict = field(default_factory=dict)
    """Other keys of the training configuration: {"loss.kind": "classification"}."""
    labels: Labelled | None = None
    """How many labelled pairs `p_right` is learned from; None: it is not needed."""


UNTOUCHED = "untouched"

ROUNDS = "rounds"
"""The ablation that mines again with adapted CLIPs: see `pipeline.demo.rounds`."""
QUALITY = "quality"
"""The ablation of which pairs to learn from."""
ATTRIBUTES = "attributes"
"""The ablation in a world where things have a colour and a pattern: see `pipeline.demo.attributes`."""
KEEPING = "keeping"
"""The ablation of what adaptation costs: see `pipeline.demo.keeping`."""
BALANCE = "balance"
"""The ablation of how many pairs frequent nouns need: see `pipeline.demo.balance`."""
BANK = "bank"
"""The ablation that asks mined regions beside CLIP: see `pipeline.demo.bank`."""

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
        QUALITY: quality_variants(),
    }


_BOTH_MARGINS = (
    "key in (select key from (select key, percent_rank() over (order by margins desc) as share from (select key, "
    "avg(noun_margin) over (partition by noun) + 0.5 * coalesce(noun_margin, 0) as margins from pairs)) "
    "where share < 0.8)"
)
"""The best pairs by what needs no labels: the noun's mean margin and half of the pair's own."""


def quality_variants() -> list[Variant]:
    """Which of the pairs to learn from, by labels of a few of them, and how much each counts. All pairs of visual nouns
    are those of full finetuning in the paper's Table 3.
    """
    best = "percent_rank() over (order by p_right desc) < {}"
    best_of_nouns = "percent_rank() over (partition by noun order by p_right desc) < {}"
    balanced = "p_right / sqrt(count(*) over (partition by noun))"
    ways: dict[str, tuple[str, str | None, str | None]] = {
        "80": ("best 80 %", best.format(0.8), None),
        "nouns-80": ("best 80 % of each noun", best_of_nouns.format(0.8), None),
        "80-balanced": ("best 80 %, weighted by p_right, rare nouns more", best.format(0.8), balanced),
        "60-balanced": ("best 60 %, weighted by p_right, rare nouns more", best.format(0.6), balanced),
    }
    variants = [_by_quality("margins-80", "best 80 % by both margins, no labels", _BOTH_MARGINS)]
    for labels, names in ((100, list(ways)), (500, ["nouns-80", "80-balanced", "60-balanced"])):
        for name in names:
            title, where, weight = ways[name]
            found = _by_quality(f"{labels}-{name}", f"{title}, {labels} labels", where)
            changes = {"data.weight": weight} if weight else {}
            variants.append(replace(found, changes=changes, labels=labels))
    right = _by_quality("right", "the right pairs alone", "p_right > 0.5")
    return [*variants, replace(right, labels="all")]


def _by_quality(name: str, title: str, where: str | None = None) -> Variant:
    return Variant(f"quality-{name}", title, "full", pairs="visual", where=where)
