"""Texts of others on a terminal: no character steers it."""

import io

import pytest
from rich.console import Console
from rich.table import Table

from pipeline.errors import IncompleteError, UserError
from pipeline.escaping.terminal import escape, printable
from pipeline.evaluation import table as evaluation_table
from pipeline.inspection import status as inspection_status
from pipeline.inspection.trouble import FailedShard, trouble_tables

STEERS = [
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[H",
    "\r\x1b[K",
    "\x9b31m",
    "\x1bP+q544e\x1b\\",
    "\x08\x08",
    "\u202egpj.exe",
    "\x7f",
]


def steering(text: str) -> set[str]:
    """Characters that a terminal obeys, found without the code under test."""
    return {
        character
        for character in text
        if (ord(character) < 32 and character not in "\n\t") or 127 <= ord(character) < 160
    } | (set(text) & {"\u202e"})


@pytest.mark.parametrize("text", STEERS)
def test_what_is_shown_steers_nothing(text):
    for shown in (printable(f"a {text} b"), escape(f"a {text} b"), str(UserError(text)), str(IncompleteError(text))):
        assert not steering(shown)
    assert "a " in printable(f"a {text} b")


@pytest.mark.parametrize("text", ["", "plain [/] text", "bücher 4.jpg", "猫\tと犬\n", "👩\u200d🚒", "می\u200cخواهم"])
def test_other_texts_stay(text):
    assert printable(text) == text
    assert str(UserError(text)) == text


@pytest.mark.parametrize("text", STEERS)
def test_tables_of_jobs(text):
    for module in (evaluation_table, inspection_status):
        assert module.escape is escape
    file = io.StringIO()
    console = Console(file=file, width=200, color_system=None)
    for table in trouble_tables([FailedShard(1, text, f"Traceback\nError: {text}")], []):
        assert isinstance(table, Table)
        console.print(table)
    assert "Error: " in file.getvalue()
    assert not steering(file.getvalue())
