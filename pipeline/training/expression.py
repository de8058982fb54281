"""SQL expressions over the pairs of a dataset, from configurations: `data.where` and `data.weight`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

import schemas
from pipeline.errors import UserError

P_RIGHT = "p_right"
"""The one column that is not of the manifests, but of the tables of quality."""
_COLUMNS = (*schemas.MANIFEST.names, P_RIGHT)

_SAMPLED = "tablesample"
# What SQL means by these depends on the moment; DuckDB does not list them as functions.
_MOMENTS = ("current_timestamp", "current_time", "localtime", "localtimestamp")
# They run a text, in which anything may stand.
_TEXTS = ("query", "query_table")
_ROW, _VALUE = "row number", "value of the pair"


@dataclass(frozen=True)
class Expression:
    """One SQL expression that has been parsed and gives the same every time."""

    key: str
    """What names it in the configuration: `data.where`."""
    text: str
    names: frozenset[str]
    """The functions and columns in it, in lower case."""
    columns: frozenset[str]
    """The columns that it needs: all where it has a subquery, a star, or a name that is no column."""

    def over(self, pairs: pa.Table, kind: str) -> pa.Array:
        """Its value for every pair, cast to an SQL type.

        It is evaluated as `select … from pairs`, so that window functions see all pairs; in subqueries, the table is
        called `pairs`, too. One thread reads them in the order given: what SQL leaves open, as the order of equals in
        `row_number()`, is the same every time.

        Raises:
            UserError: naming the key; DuckDB refuses it, or it does not give one value for each pair.
        """
        with _connect() as connection:
            connection.register("pairs", pairs.append_column(_ROW, pa.array(np.arange(len(pairs)))))
            query = f'select "{_ROW}", cast(({self.text}\n) as {kind}) as "{_VALUE}" from pairs'
            try:
                found = connection.sql(query).to_arrow_table()
            except duckdb.Error as error:
                raise self._refused(str(error)) from None
        if found.column_names != [_ROW, _VALUE] or len(found) != len(pairs):
            raise self._refused("it does not give one value for each pair (unnest, columns)")
        return found.sort_by(_ROW)[_VALUE].combine_chunks()

    def _refused(self, why: str) -> UserError:
        if "GROUP BY" in why:
            why = "aggregates need a window: count(*) over (partition by noun)"
        return _refused(self.key, self.text, why)


def parse_expression(key: str, text: str) -> Expression:
    """Parse one SQL expression; what is more, or gives something else every time, is refused.

    Args:
        key: of the configuration, for messages.

    Raises:
        UserError: naming the key.
    """
    with _connect() as connection:
        parsed = _parse(connection, key, text)
        names = frozenset(name.lower() for name in _named(parsed))
        if found := sorted((names - {*_COLUMNS}) & _changing(connection)):
            raise UserError(
                f"{key}: {text!r} uses {found[0]}, which gives other pairs every time, so that the run could not go "
                "on after an interruption; take a share of the pairs by a hash instead: hash(key) % 10 < 5"
            )
    return Expression(key, text, names, _needed(parsed))


def _connect() -> duckdb.DuckDBPyConnection:
    # The text may come from a shared configuration: it sees the pairs and nothing else.
    return duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": False,
            "python_enable_replacements": False,
            "threads": 1,
            "lock_configuration": True,
        },
    )


def _parse(connection: duckdb.DuckDBPyConnection, key: str, text: str) -> Any:
    """The tree of one expression, of which nothing else is left in the statement around it."""
    try:
        tree, around = (_statement(connection, f"select {expression}\n") for expression in (text, "true"))
    except (duckdb.Error, RecursionError, UnicodeError) as error:
        raise _refused(key, text, str(error)) from None
    if tree["error"]:
        raise _refused(key, text, f"Parser Error: {tree['error_message']}")
    parsed = _selected(tree)
    _selected(around)
    if tree != around or len(parsed) != 1 or parsed[0].get("alias"):
        raise _refused(key, text, "Parser Error: it is not one expression, but more of a statement")
    return parsed


def _statement(connection: duckdb.DuckDBPyConnection, sql: str) -> dict:
    [[parsed]] = connection.execute("select json_serialize_sql(?)", [sql]).fetchall()
    return json.loads(parsed)


def _selected(tree: dict) -> list:
    """Take what is selected out of the tree of the first statement."""
    return tree["statements"][0]["node"].pop("select_list", [])


def _refused(key: str, text: str, why: str) -> UserError:
    shown = text if len(text) <= 500 else f"{text[:500]}…"
    return UserError(
        f"{key}: {shown!r} is no expression over the pairs: {why}\ncolumns: {', '.join(schemas.MANIFEST.names)}, and "
        f"{P_RIGHT} where python -m jobs.inspect quality has written it"
    )


def _changing(connection: duckdb.DuckDBPyConnection) -> set[str]:
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


def _needed(parsed: Any) -> frozenset[str]:
    every = frozenset(_COLUMNS)
    columns: set[str] = set()
    for part in _parts(parsed):
        if part.get("class") in ("SUBQUERY", "STAR"):
            return every
        columns.update(name.lower() for name in part.get("column_names") or [])
    return frozenset(columns) if columns <= every else every


def _named(parsed: Any) -> Iterator[str]:
    """The functions and columns that a parsed expression names; `tablesample` if it takes some rows at random."""
    for part in _parts(parsed):
        if part.get("sample"):
            yield _SAMPLED
        if isinstance(name := part.get("function_name"), str):
            yield name
        yield from part.get("column_names") or []


def _parts(parsed: Any) -> Iterator[dict]:
    """All objects of a tree in JSON, however deep."""
    waiting = [parsed]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
