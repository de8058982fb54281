"""Charts for reports: SVG in the page's colours, with the numbers in words and in a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from pipeline.report.formats import number
from pipeline.report.svg import TEXT, drawing, series, to_svg

_LONGEST_LABEL = 22
_BAR_HEIGHT, _BAR_FRAME = 19, 14  # px
_BINS = 32
_FEW_DECADES = 1000
_STEPS = [1, 2, 2.5, 5, 10]
_ROWS = 40
"""Of the table below a line chart; of longer lines every nth point is listed."""


@dataclass(frozen=True)
class Chart:
    """A chart and everything a page says about it; `figure` in `templates/macros.html` shows it."""

    title: str
    note: str
    svg: Markup
    headers: tuple[str, ...]
    rows: Sequence[tuple[str | float, ...]]
    legend: tuple[str, ...] = ()
    """Names of the series in the order of their colours; empty if there is one."""


def histogram(
    name: str,
    title: str,
    values: np.ndarray,
    *,
    note: str = "",
    log: bool = False,
    whole: bool = False,
) -> Chart | None:
    """How often which value occurs; nan is left out. None if nothing is left.

    Args:
        name: id of the chart, unique in its page.
        log: bins of equal ratio; the values are positive.
        whole: the values are whole numbers, and each bin holds as many of them.
    """
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    edges = _edges(values, log, whole)
    counts, _ = np.histogram(values, edges)
    low, median, high = (float(value) for value in np.quantile(values, (0.05, 0.5, 0.95)))
    label = f"{title}: {len(values):,} values, median {number(median)}, 90 % between {number(low)} and {number(high)}."
    with drawing(name) as figure:
        axes = figure.axes[0]
        axes.bar(edges[:-1], counts, np.diff(edges), align="edge", color=series(0), edgecolor="none")
        axes.axvline(median, color=TEXT, linewidth=1.2, linestyle=(0, (4, 3)))
        axes.set_ylabel("count")
        axes.grid(axis="x", visible=False)
        plain_ticks(axes, whole=True)
        if log:
            _log_axis(axes)
        elif whole:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        svg = to_svg(figure, name, label)
    digits = 0 if whole else 4
    rows = [
        (f"{number(start, digits)} to {number(end, digits)}", count)
        for start, end, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    ]
    if whole:  # [3, 5) holds 3 and 4
        rows = [
            (f"{start:.0f}" if end - start == 1 else f"{start:.0f} to {end - 1:.0f}", count)
            for start, end, (_, count) in zip(edges[:-1] + 0.5, edges[1:] + 0.5, rows, strict=True)
        ]
    note = f"{note} Dashed: the median, {number(median, 1 if abs(median) >= 10 else 3)}.".strip()
    return Chart(title, note, svg, ("value", "count"), rows)


def bars(
    name: str,
    title: str,
    labels: Sequence[str],
    values: Sequence[float],
    *,
    note: str = "",
    headers: tuple[str, str] = ("", "count"),
    digits: int = 3,
) -> Chart | None:
    """Horizontal bars, from above in the order given, with their values written beside them. None without any."""
    if not len(values):
        return None
    shown = [_short(label) for label in labels]
    said = ", ".join(f"{label} {number(value, digits)}" for label, value in list(zip(shown, values, strict=True))[:5])
    label = f"{title}: {said}{' and more' if len(shown) > 5 else ''}."
    with drawing(name, height=_BAR_FRAME + _BAR_HEIGHT * max(len(shown), 2)) as figure:
        axes = figure.axes[0]
        drawn = axes.barh(range(len(shown)), values, color=series(0), height=0.7)
        axes.bar_label(drawn, [number(value, digits) for value in values], padding=4, color=TEXT, fontsize=10)
        axes.set_yticks(range(len(shown)), shown)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.margins(x=0.16)
        axes.grid(visible=False)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        svg = to_svg(figure, name, label)
    rows = [(label, round(value, digits)) for label, value in zip(labels, values, strict=True)]
    return Chart(title, note, svg, headers, rows)


def lines(
    name: str,
    title: str,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    axes: tuple[str, str],
    note: str = "",
    from_zero: bool = False,
    marker: bool = False,
    log: bool = False,
) -> Chart | None:
    """Lines over a common axis, at most seven. None if none of them has a point.

    Args:
        curves: x and y values by name; a point whose y is nan is a gap.
        axes: names of the x and y axis, with their units.
        from_zero: the y axis begins at 0.
        marker: the x axis ends where the lines end, with an upright line at its beginning, which a script can move
            (see `svg.to_svg`).
        log: even ratios on the x axis.
    """
    curves = {name: points for name, points in curves.items() if len(points[0])}
    if not curves:
        return None
    ends = (
        f"{curve}: {number(float(ys[0]))} at {number(float(xs[0]))}, {number(float(ys[-1]))} at {number(float(xs[-1]))}"
        for curve, (xs, ys) in curves.items()
    )
    label = f"{title}. {'; '.join(ends)}."
    with drawing(name) as figure:
        drawn = figure.axes[0]
        for index, (xs, ys) in enumerate(curves.values()):
            drawn.plot(xs, ys, color=series(index), marker="o" if len(xs) < 12 else None, markersize=4)
        drawn.set_xlabel(axes[0])
        drawn.set_ylabel(axes[1])
        if log:
            _log_axis(drawn)
        plain_ticks(drawn)
        if not log and all(np.array_equal(xs, np.round(xs)) for xs, _ in curves.values()):
            drawn.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS, integer=True))
        drawn.margins(x=0.0 if marker else 0.02)
        if from_zero:
            drawn.set_ylim(bottom=0)
        if marker:
            drawn.axvline(drawn.get_xlim()[0], color=TEXT, linewidth=1.5, gid="marker")
        svg = to_svg(figure, name, label)
    legend = tuple(curves) if len(curves) > 1 else ()
    return Chart(title, note, svg, (axes[0], *(curves if legend else axes[1:])), _points(curves), legend)


def _edges(values: np.ndarray, log: bool, whole: bool) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / _BINS)))
        return np.arange(low, high + step + 0.5, step) - 0.5
    if high <= low:
        return np.array([low - 0.5, low + 0.5]) if not log else np.array([low / 2, low * 2])
    edges = np.geomspace(low, high, _BINS + 1) if log else np.linspace(low, high, _BINS + 1)
    edges[0], edges[-1] = low, high  # what rounding took away would fall out
    return edges


def _log_axis(axes: Axes) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    if high / low < _FEW_DECADES:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def plain_ticks(axes: Axes, whole: bool = False) -> None:
    """Few ticks at round numbers, written without exponents; `whole`: the values of the y axis are whole numbers."""
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS, integer=whole))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    if axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS))


def _points(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> list[tuple]:
    """Rows of a table: x, and y of every curve that has a point there."""
    columns = [dict(zip(xs.tolist(), ys.tolist(), strict=True)) for xs, ys in curves.values()]
    positions = sorted(set().union(*columns))
    step = max(1, -(-len(positions) // _ROWS))
    return [(position, *(column.get(position, float("nan")) for column in columns)) for position in positions[::step]]


def _short(label: str) -> str:
    label = " ".join(label.split())
    return label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
