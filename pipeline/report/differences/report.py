"""From the differences of two datasets to their page."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.differences.classes import ClassChange, SignAgreement, sign_agreement
from pipeline.differences.comparison import Comparison
from pipeline.differences.joining import CATEGORIES
from pipeline.differences.questions import Nearest
from pipeline.differences.reasons import REASONS
from pipeline.differences.tables import noun_rows, pairs_by_key, sampled_rows
from pipeline.errors import UserError
from pipeline.report.differences import gallery
from pipeline.report.differences.gallery import Shown
from pipeline.report.differences.pictures import Unread, draw_regions, fitting_side, read_regions
from pipeline.report.page import page_uri, render, write_page

_SCRIPTS = ("tables.js", "pictures.js", "pager.js", "differences.js")
_NOUNS = 1000
_LONGEST = 300
"""Characters of a setting."""


@dataclass(frozen=True)
class DifferencesReportOptions:
    """What a page shows of two datasets."""

    samples: int = 400
    """Pairs shown of each category, at most."""
    max_bytes: int = 25_000_000
    """Size of the page; the pictures are as large as that allows."""
    seed: int = 0
    """Which pairs are chosen."""


def write_differences_report(
    comparison: Comparison,
    to: str,
    options: DifferencesReportOptions,
    changes: Sequence[ClassChange] = (),
    nearest: Sequence[Nearest] = (),
) -> str:
    """Write one HTML file about the differences of two datasets. Returns its URI.

    Args:
        to: folder, or a name that ends in .html.
        changes: of classes, if evaluations were compared, too.
        nearest: pairs of B that are nearest to classes.

    Raises:
        UserError: an option is out of range, or a manifest is damaged.
        OSError: storage cannot be read or written.
    """
    if options.samples < 1:
        raise UserError(f"samples is {options.samples}; it must be at least 1")
    shown, more = _chosen(comparison, options, nearest)
    regions_a, unread_a = read_regions(comparison.a, [one.row["key_a"] for one in shown if one.row["key_a"]])
    regions_b, unread_b = read_regions(comparison.b, [one.row["key_b"] for one in shown if one.row["key_b"]])
    words = _words(comparison, changes, nearest, (unread_a, unread_b))
    room = options.max_bytes - len(render("differences.html", _SCRIPTS, **words, **gallery.EMPTY).encode())
    regions = [*regions_a.values(), *regions_b.values()]
    side = fitting_side(regions, room - gallery.ROW_BYTES * len(shown)) if regions else 0
    drawn_a, drawn_b = draw_regions(regions_a, side), draw_regions(regions_b, side)
    count = len(shown)
    while True:  # the first pictures may be smaller than the others
        html = render("differences.html", _SCRIPTS, **words, **gallery.describe(shown[:count], drawn_a, drawn_b, more))
        if (size := len(html.encode())) <= options.max_bytes or not count:
            break
        count = int(count * 0.99 * options.max_bytes / size)
    uri = page_uri(to)
    write_page(html, uri)
    return uri


def _chosen(
    comparison: Comparison, options: DifferencesReportOptions, nearest: Sequence[Nearest]
) -> tuple[list[Shown], dict[str, str]]:
    """The pairs to show, of the categories in turn, so that each has some however few fit; and names of more groups."""
    shown: dict[tuple[str, str, str | None], Shown] = {}
    more: dict[str, str] = {}
    for number, found in enumerate(nearest):
        group = f"nearest-{number}"
        more[group] = f"Pairs {found.question.title}"
        for row in pairs_by_key(comparison, found.table["key"].to_pylist()):
            shown.setdefault((row["image_id"], row["noun"], row["phrase"]), Shown(row)).groups.append(group)
    by_category = [
        sampled_rows(comparison, name, options.samples, options.seed) for name in CATEGORIES if name != "same"
    ]
    for turn in range(max(map(len, by_category), default=0)):
        for rows in by_category:
            if turn < len(rows):
                row = rows[turn]
                shown.setdefault((row["image_id"], row["noun"], row["phrase"]), Shown(row)).groups.append(
                    row["category"]
                )
    return list(shown.values()), more


def _words(
    comparison: Comparison,
    changes: Sequence[ClassChange],
    nearest: Sequence[Nearest],
    unread: tuple[Unread | None, Unread | None],
) -> dict:
    found = comparison.differences
    nouns = noun_rows(comparison)
    remarks = list(found.remarks)
    for name, missing in zip("AB", unread, strict=True):
        if missing:
            remarks.append(f"{missing.count} pictures of {name} cannot be shown: {missing.first}")
    agreement: SignAgreement | None = sign_agreement(changes) if changes else None
    return {
        "found": found,
        "remarks": remarks,
        "categories": [(name, found.categories[name]) for name in CATEGORIES],
        "reasons": [
            (category, reason, REASONS[reason], count) for (category, reason), count in found.reasons.most_common()
        ],
        "rejected": [(category, detail, count) for (category, detail), count in found.rejected.most_common()],
        "nouns": nouns[:_NOUNS],
        "noun_count": len(nouns),
        "config": comparison.config,
        "settings": [(key, _text(a), _text(b)) for key, a, b in found.settings],
        "changes": changes,
        "agreement": agreement,
        "nearest": [(one, one.table.to_pylist()) for one in nearest],
    }


def _text(value: object) -> str:
    text = "–" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
