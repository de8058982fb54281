"""The ablation of how many pairs are needed of frequent nouns: `data.balance.per_noun` at several thresholds.

All variants train for as many steps, so that fewer pairs are seen more often.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from pipeline.demo.measures import MeasuredClip, measure
from pipeline.demo.report import spread
from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import FULL, Variant

THRESHOLDS = (10, 20, 50, 100)

BALANCE_VARIANTS = (
    *(
        Variant(f"balance-{pairs}", f"about {pairs} pairs a noun", "full", changes={"data.balance.per_noun": pairs})
        for pairs in THRESHOLDS
    ),
    FULL,
)


@dataclass(frozen=True)
class MeasuredBalance:
    """What a CLIP has learnt, and from what."""

    clip: MeasuredClip
    pairs: int
    tail: float
    """Per cent of the pairs that are of nouns which lost none; 100 without `data.balance`."""


def run_balance(runs: DemoRuns, say: Callable[[str], None]) -> dict[str, MeasuredBalance]:
    """Run, or find done, the variants of one seed; its pairs are mined.

    Args:
        say: called with what begins.

    Returns:
        by title of the variant; last full finetuning on all pairs.
    """
    found = {}
    for variant in BALANCE_VARIANTS:
        say(f"adapting: {variant.title}")
        runs.adapt(variant)
        runs.evaluate(variant.name)
        selection = json.loads((runs.adapted(variant.name) / "result.json").read_text())["selection"]
        found[variant.title] = MeasuredBalance(
            measure(runs.evaluation(variant.name), runs.groups),
            selection["training_pairs"],
            100 * selection["balance"]["tail_share_after"] if "balance" in selection else 100.0,
        )
    return found


def balance_table(found: Sequence[Mapping[str, MeasuredBalance]]) -> Table:
    """A row for each variant: the curve of accuracy over pairs.

    Args:
        found: by title, one a seed.
    """
    table = Table(
        "pairs of a noun",
        title="fewer pairs of frequent nouns",
        caption="Mean ± standard deviation over seeds. Tail: share of the pairs that are of nouns which lost none. "
        "Masked: true regions, blanked around. Accuracies and mIoU in per cent.",
        caption_justify="left",
    )
    for name in ("pairs", "tail, %", "masked, all", "things", "grounds", "mIoU"):
        table.add_column(name, justify="right")
    for title in found[0]:
        rows = [_figures(seed[title]) for seed in found]
        table.add_row(title, *map(spread, zip(*rows, strict=True)))
    return table


def _figures(one: MeasuredBalance) -> list[float]:
    accuracy = one.clip.accuracy
    masked = [accuracy[kind] for kind in ("all", "things", "grounds")]
    return [one.pairs, one.tail, *masked, one.clip.miou["all"]]
