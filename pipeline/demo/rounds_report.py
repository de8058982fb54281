"""What a demo prints of rounds, and of the pairs that variants learn from."""

from collections.abc import Callable, Collection, Mapping, Sequence

from rich.table import Table

from pipeline.demo.report import spread
from pipeline.demo.rounds import ROUNDS_VARIANTS, MeasuredRound, MeasuredRounds, run_rounds, write_rounds
from pipeline.demo.runs import DemoRuns
from pipeline.demo.selected import SelectedPairs, measure_selected
from pipeline.demo.variants import QUALITY, ROUNDS, quality_variants

LABELS_NOTE = """\
Labels in these tables come from the truth of the drawn scenes: what people would say of the same pairs. p_right is
learned from them alone; the truth of the other pairs is used to measure, and by "the right pairs alone"."""

_KINDS = ("all", "things", "grounds")
_HELD_OUT = {
    "held out": "accuracy", "retention": "retention", "agreement": "agreement", "nouns kept": "surviving_nouns",
}  # fmt: skip


def labelled_tables(seeds: Sequence[DemoRuns], chosen: Collection[str], say: Callable[[str], None]) -> list[Table]:
    """Run what is left of the ablations that need labels; returns what they came to.

    Args:
        seeds: for which everything else is done.
        chosen: names of ablations.
        say: called with what begins.
    """
    tables = []
    if QUALITY in chosen:
        variants = quality_variants()
        tables.append(
            selected_table({variant.title: [measure_selected(runs, variant) for runs in seeds] for variant in variants})
        )
    if ROUNDS in chosen:
        found = {variant.title: [run_rounds(runs, variant, say) for runs in seeds] for variant in ROUNDS_VARIANTS}
        write_rounds(seeds[0].folder.parent / "rounds.json", found)
        tables += rounds_tables(found)
    return tables


def rounds_tables(found: Mapping[str, Sequence[MeasuredRounds]]) -> list[Table]:
    """One table a variant, with a row for each round.

    Args:
        found: by title of the variant, one entry a seed.
    """
    return [_rounds_table(title, measured) for title, measured in found.items()]


def _rounds_table(title: str, measured: Sequence[MeasuredRounds]) -> Table:
    stopped = ", ".join(f"{one.stopped_after} ({one.chosen})" for one in measured)
    table = Table(
        "round",
        title=f"rounds: {title}",
        caption="Per cent, mean ± standard deviation over seeds. By the rule, the last round, and in brackets the "
        f"chosen one, of each seed: {stopped}.",
        caption_justify="left",
    )
    names = [*(f"right, {kind}" for kind in _KINDS), *(f"accuracy, {kind}" for kind in _KINDS), "mIoU", *_HELD_OUT]
    for name in names:
        table.add_column(name, justify="right")
    for number in range(max(len(one.rounds) for one in measured)):
        figures = [_figures(one.rounds[number]) for one in measured if number < len(one.rounds)]
        cells = [[value for value in values if value is not None] for values in zip(*figures, strict=True)]
        table.add_row(str(number), *map(spread, cells))
    return table


def _figures(one: MeasuredRound) -> list[float | None]:
    accuracy = one.clip.accuracy
    return [
        *(one.precision[kind] for kind in _KINDS),
        *(accuracy[kind] for kind in _KINDS),
        one.clip.miou["all"],
        *(one.held_out[name] for name in _HELD_OUT.values()),
    ]


def selected_table(found: Mapping[str, Sequence[SelectedPairs]]) -> Table:
    """The pairs that variants learn from.

    Args:
        found: by title of the variant, one entry a seed.
    """
    table = Table("learned from", title="pairs of visual nouns that are learned from, by the truth")
    for name in ("pairs", "right, %", "things, %", "nouns", "of rare nouns kept, %"):
        table.add_column(name, justify="right")
    for title, measured in found.items():
        fields = ("pairs", "right", "things", "nouns", "rare_nouns")
        table.add_row(title, *(spread([getattr(one, field) for one in measured]) for field in fields))
    return table
