"""A comparison on a terminal."""

from typing import Any

from rich.table import Table

from pipeline.escaping.terminal import escape
from pipeline.evaluation.comparison.outcome import TITLES, Comparison
from pipeline.evaluation.comparison.paired import FALSE_SHARE, Difference, PartDifferences
from pipeline.evaluation.cost import STAGES
from pipeline.evaluation.uncertainty.intervals import PARTS
from pipeline.evaluation.uncertainty.resampling import FEWEST_IMAGES, LEVEL

_CLASSES = 10
"""Shown from either end; the JSON file has all."""


def comparison_tables(found: Comparison) -> list[Table]:
    """Headline figures, classes, settings and cost."""
    a, b = escape(found.a.label), escape(found.b.label)
    images = f"{len(found.shared.image_ids):,}"
    headline = Table(
        "figure", a, b, "difference", f"{LEVEL:.0%} interval", "",
        title=f"{escape(found.a.result['dataset']['name'])}: {images} images of both", caption_justify="left",
        caption=f"Per cent, and points. {found.resamplings:,} resamplings of the images, drawn alike for both.",
    )  # fmt: skip
    for part in found.parts:
        headline.add_row(f"[bold]{TITLES[part.part]}[/]")
        for row in part.headline:
            headline.add_row(row.name, *_figures(row), "beyond chance" if row.beyond_chance else "may be chance")
    tables = [headline]
    tables += [_class_table(found, part) for part in found.parts if part.classes or part.untested]
    if found.settings:
        settings = Table("made with", a, b)
        for setting in found.settings:
            settings.add_row(*(escape(_short(value)) for value in setting))
        tables.append(settings)
    if any(found.costs):
        cost = Table("cost", a, b, caption="Seconds are of a worker and an image; the stages overlap.")
        for name, what in {"all": "seconds", **{name: f"  {name}: {what}" for name, what in STAGES.items()}}.items():
            cost.add_row(what, *("–" if one is None else f"{one.seconds[name]:.3f}" for one in found.costs))
        for what, figure in (("peak memory, MB", "peak_mb"), ("of the GPU, MB", "peak_gpu_mb")):
            values = [one and getattr(one, figure) for one in found.costs]
            cost.add_row(what, *("–" if value is None else f"{value:,.0f}" for value in values))
        cost.add_row("on", *("–" if one is None else escape(", ".join(one.devices)) for one in found.costs))
        tables.append(cost)
    return tables


def _class_table(found: Comparison, part: PartDifferences) -> Table:
    beyond = [row for row in part.classes if row.beyond_chance]
    few = f" {part.untested:,} in fewer than {FEWEST_IMAGES} images are not tested." if part.untested else ""
    table = Table(
        "class", escape(found.a.label), escape(found.b.label), "difference", f"{LEVEL:.0%} interval", "images", "p",
        title=f"{PARTS[part.part]} of classes that differ by more than chance: {len(beyond)} of {len(part.classes)}",
        caption_justify="left",
        caption=f"Benjamini and Hochberg at {FALSE_SHARE:.0%}: so many of those named are false, on average. p is "
        f"two-sided and adjusted.{few}",
    )  # fmt: skip
    shown = beyond if len(beyond) <= 2 * _CLASSES else [*beyond[:_CLASSES], *beyond[-_CLASSES:]]
    for row in shown:
        table.add_row(escape(row.name), *_figures(row), f"{row.images:,}", f"{row.p_adjusted:.4f}")
    return table


def _figures(row: Difference) -> tuple[str, str, str, str]:
    return (
        f"{100 * row.a:.1f}",
        f"{100 * row.b:.1f}",
        f"{100 * (row.b - row.a):+.1f}",
        f"{100 * row.low:+.1f} to {100 * row.high:+.1f}",
    )


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
