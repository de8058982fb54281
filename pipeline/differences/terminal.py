"""The differences of two datasets, or two evaluations, on a terminal."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.differences.counts import Differences
from pipeline.differences.joining import CATEGORIES
from pipeline.differences.reasons import REASONS
from pipeline.escaping.terminal import escape

_SHOWN = 160
"""Characters of a value that are shown."""
_NOUNS = 12


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
