"""Charts of figures with what is uncertain about them, and of two figures of the same things."""

from collections.abc import Sequence

import numpy as np

from pipeline.report.charts import Chart, plain_ticks
from pipeline.report.formats import number
from pipeline.report.svg import TEXT, drawing, series, to_svg

_ROW_HEIGHT, _FRAME = 22, 44  # px
_NONE = 0.5
"""Where a count of 0 stands on an axis of even ratios."""

Ends = tuple[float, float] | None


def interval_bars(
    name: str, title: str, labels: Sequence[str], values: Sequence[float], ends: Sequence[Ends], *, note: str = ""
) -> Chart | None:
    """Points with their intervals as bars, from above in the order given. None without any.

    Args:
        name: id of the chart, unique in its page.
        ends: both ends of the interval of each; None: it has none.
    """
    if not len(values):
        return None
    rows = [
        (label, round(value, 1), *(("–", "–") if end is None else (round(end[0], 1), round(end[1], 1))))
        for label, value, end in zip(labels, values, ends, strict=True)
    ]
    said = ", ".join(
        f"{label} {value}" + (f" ({low} to {high})" if low != "–" else "") for label, value, low, high in rows
    )
    with drawing(name, height=_FRAME + _ROW_HEIGHT * max(len(labels), 2)) as figure:
        axes = figure.axes[0]
        for row, end in enumerate(ends):
            if end is not None:
                axes.plot(end, (row, row), color=series(0), linewidth=5, alpha=0.4, solid_capstyle="butt")
        axes.plot(values, range(len(values)), "o", color=TEXT, markersize=4)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", visible=False)
        svg = to_svg(figure, name, f"{title}: {said}.")
    return Chart(title, note, svg, ("figure", "per cent", "from", "to"), rows)


def count_scatter(
    name: str,
    title: str,
    labels: Sequence[str],
    counts: np.ndarray,
    values: np.ndarray,
    *,
    axes: tuple[str, str],
    note: str = "",
) -> Chart | None:
    """Points at counts, on an axis of even ratios, and values. None without any.

    Args:
        counts: int64 [N]; 0 stands left of 1.
        values: float64 [N].
        axes: names of both, with their units.
    """
    if not len(counts):
        return None
    none = int((counts == 0).sum())
    label = (
        f"{title}: {len(counts)} points, counts {int(counts.min()):,} to {int(counts.max()):,} ({none} are 0), values "
        f"{number(float(values.min()), 1)} to {number(float(values.max()), 1)}."
    )
    with drawing(name, width=460, height=300) as figure:
        drawn = figure.axes[0]
        drawn.set_xscale("log")
        drawn.plot(np.maximum(counts, _NONE), values, "o", color=series(0), markersize=5, alpha=0.7)
        drawn.set_xlim(_NONE * 0.7, max(float(counts.max()), 10) * 1.4)
        plain_ticks(drawn)
        decades = [10**power for power in range(len(str(int(counts.max()))))]
        drawn.set_xticks(
            [_NONE, *decades] if none else decades, [*(["0"] if none else []), *(f"{n:,}" for n in decades)]
        )
        drawn.minorticks_off()
        drawn.set_xlabel(axes[0])
        drawn.set_ylabel(axes[1])
        svg = to_svg(figure, name, label)
    order = np.lexsort((values, counts)).tolist()
    rows = [(labels[index], int(counts[index]), round(float(values[index]), 1)) for index in order]
    return Chart(title, note, svg, ("class", *axes), rows)
