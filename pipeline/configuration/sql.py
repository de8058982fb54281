"""SQL expressions in configurations, parsed by DuckDB: what they name, and whether they give the same every time.

What is evaluated sees the table that it is about and nothing else: no files, no network, no settings.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

_SAMPLED = "tablesample"
# What SQL means by these depends on the moment; DuckDB does not list them as functions.
_MOMENTS = ("current_timestamp", "current_time", "localtime", "localtimestamp")
# They run a text, in which anything may stand.
_TEXTS = ("query", "query_table")


def connect() -> duckdb.DuckDBPyConnection:
    """A connection in which an expression sees what is registered there and nothing else."""
    # The text may come from a shared configuration.
    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "python_enable_replacements": False,
            "threads": 1,
            "lock_configuration": True,
        },
    )


def parse(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
    """The tree of one expression, as `json_serialize_sql` has it.

    Raises:
        ValueError: with the reason; DuckDB does not understand it, or it is more than one expression.
    """
    # Of one expression nothing else is left in the statement around it.
    try:
        tree, around = (_statement(connection, f"select {expression}\n") for expression in (text, "true"))
    except (duckdb.Error, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from None
    if tree["error"]:
        raise ValueError(f"Parser Error: {tree['error_message']}")
    parsed = _selected(tree)
    _selected(around)
    if tree != around or len(parsed) != 1 or parsed[0].get("alias"):
        raise ValueError("Parser Error: it is not one expression, but more of a statement")
    return parsed


def _statement(connection: duckdb.DuckDBPyConnection, sql: str) -> dict:
    [[parsed]] = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    return json.loads(parsed)


def _selected(tree: dict) -> list:
    """Take what is selected out of the tree of the first statement."""
    return tree["statements"][0]["node"].pop("select_list", [])


def changing_functions(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Names of functions whose result is not the same every time, or cannot be known to be."""
    listed = connection.execute(
        "select distinct function_name from duckdb_functions() "
        "where stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    ).fetchall()
    macros = connection.execute(
        "select function_name, macro_definition from duckdb_functions() where macro_definition is not null"
    ).fetchall()
    moment = re.compile(rf"\b(?:{'|'.join(_MOMENTS)})\b")
    of_moments = {name for name, definition in macros if moment.search(definition)}
    return {name for (name,) in listed} | of_moments | {*_MOMENTS, *_TEXTS, _SAMPLED}


def names_in(parsed: Any) -> Iterator[str]:
    """The functions and columns that a parsed expression names; `tablesample` if it takes some rows at random."""
    for part in parts_of(parsed):
        if part.get("sample"):
            yield _SAMPLED
        if isinstance(name := part.get("function_name"), str):
            yield name
        yield from part.get("column_names") or []


def parts_of(parsed: Any) -> Iterator[dict]:
    """All objects of a tree in JSON, however deep."""
    waiting = [parsed]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
