"""The rounds of a chain on a terminal."""

from pipeline.chain.rounds_table import rounds_table
from pipeline.report.rounds import COLUMNS
from tests.report.test_rounds import RESULT


def test_the_table_has_a_row_for_each_round():
    table = rounds_table(RESULT)
    assert [column.header for column in table.columns] == list(COLUMNS)
    assert table.row_count == 2
    assert "Round 0 is the best by accuracy" in str(table.caption)
