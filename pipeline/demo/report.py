"""What a demo prints, and keeps as `report.json`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from rich.table import Table

from pipeline.demo.measures import KINDS, MeasuredClip
from pipeline.evaluation.published import TUNING
from pipeline.quality import PairPrecision

DESIGNED = """\
Designed into this world: things stand on their home grounds in 92 % of the cases, so that CLIP learns to recognise
them by their surroundings, and recognises them badly when these are blanked (the first two rows; --quick leaves out
the second). Also designed: which nouns captions never name ("unnamed"), and which ones true masks of few classes have
("annotated"). Found: that pairs mined with the untouched CLIP, many of them wrong, close part of the gap; how much of
it mask prompts and full finetuning close; and everything else in these tables. Scenes of 96 px, 42 nouns and a CLIP
with less than a million trained parameters do not say how large the effects are on photographs."""

_GROUP_NOTE = (
    "Per cent. Groups of nouns: annotated (14, those of true masks of few classes), captioned (21, in captions only), "
    "unnamed (7, in no caption). ± is the standard deviation over seeds."
)
_GROUPS = ("all", "annotated", "captioned", "unnamed")


def accuracy_table(rows: Mapping[str, Sequence[MeasuredClip]]) -> Table:
    """Accuracy on masked true regions, among all 42 nouns.

    Args:
        rows: by title of the CLIP, one measurement a seed.
    """
    cells = {name: [[one.accuracy[kind] for one in measured] for kind in KINDS] for name, measured in rows.items()}
    return _table("masked true regions whose noun CLIP finds", KINDS, cells)


def miou_table(rows: Mapping[str, Sequence[MeasuredClip]]) -> Table:
    """mIoU on proposals, and on true masks.

    Args:
        rows: by title of the CLIP, one measurement a seed.
    """
    cells = {
        name: [[one.miou[kind] for one in measured] for kind in _GROUPS]
        + [[one.true_mask_miou["all"] for one in measured]]
        for name, measured in rows.items()
    }
    return _table("mIoU on `segments` proposals", (*_GROUPS, "on true masks"), cells)


def _table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    table = Table("CLIP", title=title, caption=_GROUP_NOTE, caption_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, cells in rows.items():
        table.add_row(name, *map(spread, cells))
    return table


def paper_table(rows: Mapping[str, Sequence[MeasuredClip]]) -> Table:
    """The paper's Table 3 beside the same steps in the micro world.

    Args:
        rows: by title of the CLIP, as the paper's rows are called.
    """
    table = Table("CLIP", title="mIoU: the paper's Table 3 (photographs), and here")
    for column in ("A-847", "A-150", "PC-59", "micro world"):
        table.add_column(column, justify="right")
    for row in TUNING:
        here = [one.miou["all"] for one in rows[row.method]] if row.method in rows else []
        table.add_row(row.method, *(f"{row.miou[column]:.1f}" for column in ("A-847", "A-150", "PC-59")), spread(here))
    return table


def mining_table(precisions: Mapping[str, PairPrecision]) -> Table:
    """How often mined pairs are right."""
    table = Table("pairs", title="mined pairs whose region shows what their noun names")
    for column in ("pairs", "of them with a noun of the world", "right", "a random object", "right, of all pairs"):
        table.add_column(column, justify="right")
    for name, found in precisions.items():
        table.add_row(
            name,
            str(found.pairs),
            str(found.judged),
            f"{found.precision:.1%}",
            f"{found.chance:.1%}",
            f"{found.correct / found.pairs:.1%}",
        )
    return table


def write_report(
    path: Path, rows: Mapping[str, Sequence[MeasuredClip]], precisions: Mapping[str, PairPrecision]
) -> None:
    """Keep the figures."""
    content = {
        "measured": {name: [asdict(one) for one in measured] for name, measured in rows.items()},
        "mining": {
            name: {**asdict(found), "precision": found.precision, "chance": found.chance}
            for name, found in precisions.items()
        },
    }
    path.write_text(json.dumps(content, indent=1))


def spread(values: Sequence[float]) -> str:
    """Mean and, of several, standard deviation; a dash of none."""
    if not len(values):
        return "–"
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.1f}"
