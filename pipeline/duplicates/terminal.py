"""Duplicates and leaks on a terminal."""

import numpy as np
from rich.console import Console
from rich.table import Table

from pipeline.duplicates.groups import Duplicates
from pipeline.duplicates.leakage import Leakage
from pipeline.escaping.terminal import escape

_GROUPS = 12
_IMAGES = 4
_LONGEST = 100
"""Characters of an address."""


def print_duplicates(found: Duplicates) -> None:
    """Print how many there are, and the largest groups."""
    console = Console()
    summary = Table("", "", show_header=False)
    summary.add_row("images", f"{found.images:,}")
    summary.add_row(f"groups of near-duplicates (at most {found.distance} bits apart)", f"{found.groups:,}")
    summary.add_row("images in them", f"{len(found.table):,}")
    summary.add_row("images that data.deduplicate would leave out", f"{found.superfluous:,}")
    console.print(summary)
    if found.groups:
        console.print(_largest(found))
    for remark in found.remarks():
        console.print(f"note: {escape(remark)}", soft_wrap=True, highlight=False)


def _largest(found: Duplicates) -> Table:
    sizes = np.bincount(found.table["group"].to_numpy())
    begins = np.cumsum(sizes) - sizes  # the table is sorted by group
    table = Table("images", "bits", "", title="The largest groups")
    for group in np.argsort(-sizes, kind="stable")[:_GROUPS].tolist():
        shown = found.table.slice(begins[group], min(sizes[group], _IMAGES)).to_pylist()
        for number, row in enumerate(shown):
            size = f"{sizes[group]:,}" if not number else ""
            table.add_row(size, str(row["distance"]), escape(_short(row["image_uri"] or row["image_id"])))
        if more := int(sizes[group]) - len(shown):
            table.add_row("", "", f"… and {more:,} more")
        table.add_section()
    return table


def _short(address: str) -> str:
    """The end of an address, which tells images of one source apart."""
    return address if len(address) <= _LONGEST else "…" + address[1 - _LONGEST :]


def print_leakage(found: Leakage) -> None:
    """Print how many copies there are, and those with most pairs."""
    console = Console()
    images, pairs = found.mined
    summary = Table("", "", show_header=False)
    summary.add_row("images compared", f"{found.about.images:,} with {found.about.mined_images:,} mined ones")
    summary.add_row(f"of these, with copies (at most {found.about.distance} bits apart)", f"{found.leaked:,}")
    summary.add_row("mined images that are copies", f"{images:,}")
    summary.add_row("pairs cut from them", f"{pairs:,}")
    for reason, count in found.problems.most_common():
        summary.add_row(f"could not be compared: {escape(reason)}", f"{count:,}")
    console.print(summary)
    if images:
        table = Table("image", "mined image", "bits", "pairs", title="Copies with most pairs")
        rows = found.copies.sort_by([("pairs", "descending"), ("image", "ascending")]).slice(0, _GROUPS).to_pylist()
        for row in rows:
            names = (escape(_short(name)) for name in (row["image"], row["mined_image_id"]))
            table.add_row(*names, str(row["distance"]), f"{row['pairs']:,}")
        console.print(table)
