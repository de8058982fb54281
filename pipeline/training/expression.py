"""SQL expressions over the pairs of a dataset, from configurations: `data.where` and `data.weight`."""

import re
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

import schemas
from pipeline.configuration import sql
from pipeline.errors import UserError

P_RIGHT = "p_right"
"""The one column that is not of the manifests, but of the tables of quality."""
_COLUMNS = (*schemas.MANIFEST.names, P_RIGHT)
_OF_A_VERIFIER = re.compile(rf"[a-z][a-z0-9_]*_(?:{'|'.join(schemas.VERIFIER_COLUMNS)})")

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

    @property
    def of_verifiers(self) -> frozenset[str]:
        """The names in it that may be columns of verifiers: so400m_score and the like."""
        return frozenset(name for name in self.names if _of_a_verifier(name))

    def over(self, pairs: pa.Table, kind: str) -> pa.Array:
        """Its value for every pair, cast to an SQL type.

        It is evaluated as `select … from pairs`, so that window functions see all pairs; in subqueries, the table is
        called `pairs`, too. One thread reads them in the order given: what SQL leaves open, as the order of equals in
        `row_number()`, is the same every time.

        Raises:
            UserError: naming the key; DuckDB refuses it, or it does not give one value for each pair.
        """
        with sql.connect() as connection:
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
    with sql.connect() as connection:
        try:
            parsed = sql.parse(connection, text)
        except ValueError as error:
            raise _refused(key, text, str(error)) from None
        names = frozenset(name.lower() for name in sql.names_in(parsed))
        if found := sorted((names - {*_COLUMNS}) & sql.changing_functions(connection)):
            raise UserError(
                f"{key}: {text!r} uses {found[0]}, which gives other pairs every time, so that the run could not go "
                "on after an interruption; take a share of the pairs by a hash instead: hash(key) % 10 < 5"
            )
    return Expression(key, text, names, _needed(parsed))


def _refused(key: str, text: str, why: str) -> UserError:
    shown = text if len(text) <= 500 else f"{text[:500]}…"
    return UserError(
        f"{key}: {shown!r} is no expression over the pairs: {why}\ncolumns: {', '.join(schemas.MANIFEST.names)}, and "
        f"{P_RIGHT} where python -m jobs.inspect quality has written it, and of each verifier NAME_"
        + ", NAME_".join(schemas.VERIFIER_COLUMNS)
    )


def _needed(parsed: Any) -> frozenset[str]:
    every = frozenset(_COLUMNS)
    columns: set[str] = set()
    for part in sql.parts_of(parsed):
        if part.get("class") in ("SUBQUERY", "STAR"):
            return every
        columns.update(name.lower() for name in part.get("column_names") or [])
    known = {name for name in columns if name in every or _of_a_verifier(name)}
    return frozenset(columns & every) if columns == known else every


def _of_a_verifier(name: str) -> bool:
    return name not in _COLUMNS and _OF_A_VERIFIER.fullmatch(name) is not None
