"""What was learned of the pairs, on the terminal."""

from rich.console import Console
from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.quality.precision_tables import interval
from pipeline.quality.scoring import QualityReport


def print_quality(report: QualityReport) -> None:
    """Print what p_right is worth, and conditions to paste."""
    console = Console()
    model = report.fit.model
    console.print(
        f"[bold]{escape(report.output)}[/]  quality/: {report.written} tables written, "
        f"{report.shards - report.written} the same as before",
        soft_wrap=True,
    )
    summary = Table("", "", show_header=False)
    summary.add_row(f"{report.source.kind} learned from", str(len(model.used)))
    summary.add_row("columns", str(len(report.fit.names)))
    summary.add_row("C (of 5, by cross-validation)", f"{model.strength:g}")
    calibration = (
        "none: too few labels for it, or no gain"
        if model.platt is None
        else f"Platt, {model.platt[0]:+.2f} {model.platt[1]:.2f}"
    )
    summary.add_row("calibration", calibration)
    summary.add_row("Brier score", f"{report.brier:.3f} (a constant: {report.brier_constant:.3f})")
    summary.add_row("log loss", f"{report.log_loss:.3f}")
    console.print(summary)
    console.print(_chosen_table(report))
    bins = Table("mean p_right", "labels", "right", "95 % interval", title="Calibration, out of fold")
    for part in report.bins:
        found = part.precision
        bins.add_row(f"{part.predicted:.2f}", str(found.labels), f"{found.value:.2f}", interval(found))
    console.print(bins)
    weights = Table("column", "weight", title="What counts (log odds a standard deviation)")
    named = zip(report.fit.names, model.whole.coefficients.tolist(), strict=True)
    for name, weight in sorted(named, key=lambda found: -abs(found[1])):
        weights.add_row(escape(name), f"{weight:+.2f}")
    console.print(weights)
    for share, least in report.keeps:
        line = f'the best {share:.0%} of the pairs: data.where: "p_right >= {least:.4f}"'
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    for remark in report.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)


def _chosen_table(report: QualityReport) -> Table:
    things = report.chosen[0].things is not None
    columns = ["best", "by", "right", "95 %", "nouns", "tail", *(["things"] if things else [])]
    title = f"Per cent by labels that the model has not seen; what is kept of {report.nouns} nouns, tail nouns, things"
    table = Table(*columns, title=title)
    for number, found in enumerate(report.chosen):
        first = not number or found.share != report.chosen[number - 1].share
        if number and first:
            table.add_section()
        row = [f"{found.share:.0%}" if first else "", escape(found.key)]
        row += [f"{100 * found.precision.value:.1f}" if found.precision.labels else "unknown"]
        row += [interval(found.precision).removesuffix(" %"), str(found.nouns)]
        row += [f"{100 * kept:.0f}" for kept in (found.tail, found.things) if kept is not None]
        table.add_row(*row)
    return table
