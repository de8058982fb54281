"""Precision on the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.quality.curves import Curve
from pipeline.quality.estimates import Estimate
from pipeline.quality.precision import Part, PrecisionReport

_SHOWN_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.1)


def print_precision(report: PrecisionReport) -> None:
    """Print all tables, the remarks, and conditions to paste."""
    console = Console()
    console.print(f"[bold]{escape(report.output)}[/]  by {escape(report.source.uri)}", soft_wrap=True)
    labels = report.source.kind if report.source.kind == "labels" else "judged"
    table = Table("pairs", "", labels, "right", "95 % interval", "λ", title="Precision")
    _add(table, "all", report.overall)
    if report.predictions:
        _add(table, "all, by labels alone", report.labels_alone)
    if report.overall.unclear:
        low, high = report.overall.if_unclear_wrong, report.overall.if_unclear_right
        table.add_row("all, unclear wrong … right", "", "", f"{_percent(low)} …", _percent(high), "")
    for parts in (report.scores, report.groups, report.nouns):
        _section(table, parts)
    console.print(table)
    for found in report.curves:
        console.print(_curve_table(found, labels))
    for found in report.curves:
        for line in _conditions(found, report.wanted):
            console.print(line, soft_wrap=True, markup=False, highlight=False)
    for remark in report.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)


def _section(table: Table, parts: Sequence[Part]) -> None:
    if parts:
        table.add_section()
    for part in parts:
        _add(table, part.name, part.precision)


def _add(table: Table, name: str, found: Estimate) -> None:
    power = f"{found.power:.2f}" if found.power else ""
    table.add_row(escape(name), str(found.pairs), str(found.labels), _percent(found.value), interval(found), power)


def _curve_table(curve: Curve, labels: str) -> Table:
    table = Table(f"{curve.key} ≥", "of all pairs", labels, "right", "95 % interval", title=f"Precision by {curve.key}")
    for point in curve.points:
        if any(abs(point.share - share) < 0.012 for share in _SHOWN_SHARES):
            found = point.precision
            table.add_row(
                f"{point.threshold:.4f}",
                _percent(point.share),
                str(found.labels),
                _percent(found.value),
                interval(found),
            )
    return table


def _conditions(curve: Curve, wanted: float) -> list[str]:
    lines = []
    for sure, said in ((False, "estimated"), (True, "the lower end of the interval")):
        point = curve.wanted(wanted, sure=sure)
        if point is None:
            lines.append(f"{_percent(wanted)} right ({said}): no threshold of {curve.key} reaches it with these labels")
            continue
        lines.append(
            f'{_percent(wanted)} right ({said}): data.where: "{curve.condition(point)}" keeps {_percent(point.share)} '
            f"of the pairs, {_percent(point.precision.value)} of them right ({interval(point.precision)})"
        )
    return lines


def interval(found: Estimate) -> str:
    """`81.2 to 90.3 %`."""
    return f"{100 * found.low:.1f} to {100 * found.high:.1f} %" if found.labels else "unknown"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share == share else "unknown"
