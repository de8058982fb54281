"""The differences of two datasets, or two evaluations, on a terminal."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.differences.classes import ClassChange, sign_agreement
from pipeline.differences.counts import Differences
from pipeline.differences.joining import CATEGORIES
from pipeline.differences.questions import Nearest
from pipeline.differences.reasons import REASONS
from pipeline.escaping.terminal import escape

_SHOWN = 160
"""Characters of a value that are shown."""
_NOUNS, _CLASSES, _PAIRS = 12, 15, 15


def print_differences(found: Differences, nouns: Sequence[dict]) -> None:
    """Print everything but the pairs themselves.

    Args:
        nouns: rows of `schemas.NOUN_DIFFERENCES`, those to name first.
    """
    console = Console()
    for name, side in (("A", found.a), ("B", found.b)):
        console.print(f"[bold]{name}[/]  {escape(side.uri)}", soft_wrap=True)
    for remark in found.remarks:
        console.print(f"note: {escape(remark)}", soft_wrap=True)
    console.print(_totals(found))
    pairs = Table("pairs", "", "")
    for category in CATEGORIES:
        pairs.add_row(category, f"{found.categories[category]:,}", _meaning(found, category))
    console.print(pairs)
    console.print(
        f"regions agree in {_share(found.agreement)} of the {found.shared:,} pairs of both; "
        f"{_share(found.nouns_survived)} of A's nouns have pairs in B",
        soft_wrap=True,
    )
    if found.reasons:
        reasons = Table("pairs", "why", "", "")
        for (category, reason), count in found.reasons.most_common():
            reasons.add_row(category, reason, f"{count:,}", escape(REASONS[reason]))
        for (category, detail), count in found.rejected.most_common():
            reasons.add_row(category, "  " + escape(_short(detail)), f"{count:,}", "")
        console.print(reasons)
    _print_nouns(console, nouns)
    if found.settings:
        settings = Table("made with", "A", "B")
        for key, a, b in found.settings:
            settings.add_row(escape(_short(key)), escape(_short(a)), escape(_short(b)))
        console.print(settings)
    else:
        console.print("both were made with the same configuration, source, models and versions")


def print_changes(changes: Sequence[ClassChange]) -> None:
    """Print the classes of two evaluations beside the pairs that name them."""
    agreement, console = sign_agreement(changes), Console()
    table = Table("class", "IoU a", "IoU b", "points", "pairs A", "pairs B", "nouns")
    chosen = changes if len(changes) <= 2 * _CLASSES else [*changes[:_CLASSES], *changes[-_CLASSES:]]
    for change in chosen:
        table.add_row(
            escape(_short(change.name)),
            *(f"{100 * iou:.1f}" for iou in (change.iou_a, change.iou_b)),
            f"{100 * change.gain:+.1f}",
            *(f"{pairs:,}" for pairs in (change.pairs_a, change.pairs_b)),
            escape(_short(", ".join(change.nouns))),
        )
    console.print(table)
    if len(chosen) < len(changes):
        console.print(f"the {_CLASSES} classes that lost and gained most, of {len(changes):,}")
    console.print(
        f"of {agreement.changed:,} classes of which both changed, IoU and pairs changed in one direction in "
        f"{agreement.alike:,}",
        soft_wrap=True,
    )


def print_nearest(found: Nearest) -> None:
    """Print the pairs that are nearest to a class, and how often each of their nouns is among them."""
    console = Console()
    two = len(found.question.names) > 1
    console.print(f"[bold]pairs {escape(found.question.title)}[/], of {found.looked_at:,} of {found.pairs:,}")
    rows = found.table.to_pylist()
    table = Table("noun", "similarity", *(["to the other"] if two else []), "since A", "pair")
    for row in rows[:_PAIRS]:
        other = [f"{row['similarity_taken_for']:.3f}"] if two else []
        table.add_row(escape(_short(row["noun"])), f"{row['similarity']:.3f}", *other, row["category"], row["key"])
    console.print(table)
    nouns = Counter(row["noun"] for row in rows).most_common(_NOUNS)
    named = ", ".join(f"{_short(noun)} {count}" for noun, count in nouns)
    console.print(f"nouns of the nearest {len(rows)}: {escape(named)}", soft_wrap=True)


def _totals(found: Differences) -> Table:
    table = Table("", "A", "B", "both")
    a, b = found.a, found.b
    table.add_row("images of the source", f"{a.images:,}", f"{b.images:,}", f"{found.images_shared:,}")
    table.add_row("images with pairs", f"{a.images_with_pairs:,}", f"{b.images_with_pairs:,}", "")
    table.add_row("pairs", f"{a.pairs:,}", f"{b.pairs:,}", f"{found.shared:,}")
    table.add_row("nouns with pairs", f"{a.nouns:,}", f"{b.nouns:,}", f"{found.nouns_shared:,}")
    for name, count in (("other file", found.images_changed), ("other size", found.images_resized)):
        if count:
            table.add_row(f"images with pairs in both, {name}", "", "", f"{count:,}")
    return table


def _print_nouns(console: Console, rows: Sequence[dict]) -> None:
    gained = [row for row in rows if not row["pairs_a"]]
    lost = [row for row in rows if not row["pairs_b"]]
    for name, chosen, column in (("gained", gained, "pairs_b"), ("lost", lost, "pairs_a")):
        if chosen:
            named = ", ".join(f"{_short(row['noun'])} {row[column]}" for row in chosen[:_NOUNS])
            more = f" and {len(chosen) - _NOUNS:,} more" if len(chosen) > _NOUNS else ""
            console.print(f"{len(chosen):,} nouns {name}: {escape(named)}{more}", soft_wrap=True)


def _meaning(found: Differences, category: str) -> str:
    scores = "" if found.comparable else ", by rank: the CLIPs differ"
    return {
        "added": "in B alone",
        "lost": "in A alone",
        "moved": "to another region",
        "shifted": f"the same region with another score{scores}",
        "same": "",
    }[category]


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _short(value: Any) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
