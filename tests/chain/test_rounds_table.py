"""The rounds of a chain on a terminal."""

from rich.console import Console

from pipeline.chain.rounds_table import rounds_table
from pipeline.report.rounds import COLUMNS
from tests.report.test_rounds import RESULT


def test_the_table_has_a_column_for_each_round():
    table = rounds_table(RESULT)
    assert [column.header for column in table.columns] == ["round", "0", "1"]
    assert list(table.columns[0].cells) == list(COLUMNS[1:])
    assert "Round 0 is the best by accuracy" in str(table.caption)


def test_nothing_is_cut_on_a_narrow_terminal():
    console = Console(width=80)
    with console.capture() as shown:
        console.print(rounds_table(RESULT))
    assert "…" not in shown.get()
    assert all(name in shown.get() for name in COLUMNS)
