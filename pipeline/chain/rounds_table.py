"""The rounds of a chain as a table for terminals."""

from rich.markup import escape
from rich.table import Table

from pipeline.report.rounds import COLUMNS, round_cells


def rounds_table(result: dict) -> Table:
    """One column a round.

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
    # A column for each round: one for each figure would not fit 80 characters.
    rounds = [round_cells(row, result) for row in result["rounds"]]
    table.add_column(COLUMNS[0])
    for number, *_ in rounds:
        table.add_column(number)
    for name, *cells in zip(COLUMNS[1:], *(cells[1:] for cells in rounds), strict=True):
        table.add_row(name, *map(escape, cells))
    return table
