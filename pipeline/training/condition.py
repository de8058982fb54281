"""`data.where`: an SQL condition over the pairs of a dataset."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

import schemas
from pipeline.errors import UserError

_SAMPLED = "tablesample"
# What SQL means by these depends on the moment; DuckDB does not list them as functions.
_MOMENTS = ("current_timestamp", "current_time", "localtime", "localtimestamp")


def filter_pairs(pairs: pa.Table, where: str) -> pa.Table:
    """The pairs that fulfil an SQL condition; in subqueries, the table of all pairs is called `pairs`.

    Raises:
        UserError: naming `data.where`; also if it selects other pairs every time.
    """
    connection = duckdb.connect(
        ":memory:",
        # The condition may come from a shared configuration: it sees the manifests and nothing else.
        config={"enable_external_access": False, "python_enable_replacements": False, "lock_configuration": True},
    )
    number = "row number"
    connection.register("pairs", pairs.append_column(number, pa.array(np.arange(len(pairs)))))
    try:
        _check_repeatable(connection, where)
        rows = connection.table("pairs").filter(where).project(f'"{number}"').fetchnumpy()[number]
    except duckdb.Error as error:
        columns = ", ".join(schemas.MANIFEST.names)
        raise UserError(
            f"data.where: {where!r} is no condition over the manifests: {error}\ncolumns: {columns}"
        ) from None
    finally:
        connection.close()
    if not len(rows):
        raise UserError(f"data.where: none of the {len(pairs)} pairs fulfils {where!r}")
    return pairs.take(pa.array(np.sort(rows)))


def _check_repeatable(connection: duckdb.DuckDBPyConnection, where: str) -> None:
    """Refuse what selects other pairs every time: a run that goes on would learn from others than it began with."""
    [[parsed]] = connection.execute("select json_serialize_sql(?)", [f"select 1 from pairs where ({where})"]).fetchall()
    changing = connection.execute(
        "select distinct function_name from duckdb_functions() "
        "where stability in ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    ).fetchall()
    names = {name.lower() for name in _named(json.loads(parsed))} - set(schemas.MANIFEST.names)
    if found := sorted(names & {*(name for (name,) in changing), *_MOMENTS, _SAMPLED}):
        raise UserError(
            f"data.where: {where!r} uses {found[0]}, which gives other pairs every time, so that the run could not go "
            "on after an interruption; take a share of the pairs by a hash instead: hash(key) % 10 < 5"
        )


def _named(parsed: Any) -> Iterator[str]:
    """The functions and columns that a parsed statement names; `tablesample` if it takes some rows at random."""
    if isinstance(parsed, dict):
        if parsed.get("sample"):
            yield _SAMPLED
        if isinstance(name := parsed.get("function_name"), str):
            yield name
        for name in parsed.get("column_names") or []:
            yield str(name)
        parsed = list(parsed.values())
    if isinstance(parsed, list):
        for part in parsed:
            yield from _named(part)
