"""The rounds of a chain as a table for terminals."""

from rich.markup import escape
from rich.table import Table

from pipeline.report.rounds import COLUMNS, round_cells


def rounds_table(result: dict) -> Table:
    """One row a round.

    Args:
        result: the content of `rounds.json`.
    """
    by = "mIoU" if result["chosen_by"] == "miou" else "accuracy on held-out regions"
    table = Table(
        title="rounds",
        caption=f"Round {result['best']} is the best by {by}. Precision after round 0: from so much to so much, by "
        "whether labelled pairs whose region changed are wrong or right.",
        caption_justify="left",
    )
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("round", "decision") else "right")
    for row in result["rounds"]:
        table.add_row(*map(escape, round_cells(row, result)))
    return table
