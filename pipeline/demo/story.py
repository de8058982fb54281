"""What a demo does with one seed, in order, and what comes out."""

from collections.abc import Callable

import numpy as np

from pipeline.demo.bank import run_banks
from pipeline.demo.measures import MeasuredClip, measure, mined_rows
from pipeline.demo.runs import BOX, DemoRuns
from pipeline.demo.scale import QUICK
from pipeline.demo.selected import measure_selected
from pipeline.demo.variants import BANK, FULL, MASK_PROMPT, NON_VISUAL, PAPER, UNTOUCHED, Variant, ablations

UNTOUCHED_TITLE = "CLIP untouched"
BOX_TITLE = "CLIP untouched, box with surroundings"

_BOX = "untouched-box"
_KEPT_BY_SCORE = 0.4  # the quantile of the score below which the ablation drops pairs


def run_seed(runs: DemoRuns, chosen: list[str], say: Callable[[str], None]) -> dict[str, MeasuredClip]:
    """Run, or find done, everything that one seed needs.

    Args:
        chosen: names of ablations.
        say: called with what begins.

    Returns:
        the figures of every CLIP, by its title.
    """
    say(f"scenes → {runs.folder}")
    runs.make_worlds()
    say("pretraining a small CLIP on whole scenes and natural crops")
    runs.pretrain()
    say("mining region–noun pairs")
    runs.mine()
    say("evaluating the untouched CLIP")
    runs.evaluate(UNTOUCHED)
    measured = {UNTOUCHED_TITLE: measure(runs.evaluation(UNTOUCHED), runs.groups)}
    if runs.scale != QUICK:
        runs.evaluate(UNTOUCHED, BOX, _BOX)
        measured[BOX_TITLE] = measure(runs.evaluation(_BOX), runs.groups)
    for variant in (*paper_variants(runs), *_chosen_variants(runs, chosen)):
        say(f"adapting: {variant.title}")
        runs.adapt(variant)
        if variant.pairs == "visual":
            measure_selected(runs, variant)  # while p_right is that of the variant
        runs.evaluate(variant.name)
        measured[variant.title] = measure(runs.evaluation(variant.name), runs.groups)
    if BANK in chosen:
        measured |= run_banks(runs, say)
    return measured


def paper_variants(runs: DemoRuns) -> tuple[Variant, ...]:
    """The paper's ways to adapt; `--quick` leaves out the last."""
    return (MASK_PROMPT, FULL) if runs.scale == QUICK else PAPER


def _chosen_variants(runs: DemoRuns, chosen: list[str]) -> list[Variant]:
    if not chosen:
        return []
    scores = [row["clip_score"] for row in mined_rows(runs.mined) if row["noun"] not in NON_VISUAL]
    found = ablations(good_score=float(np.quantile(scores, _KEPT_BY_SCORE)))
    return [variant for name in chosen if name in found for variant in found[name]]
