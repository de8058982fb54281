"""`captions.where`: an SQL condition on the rows of a source."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from pipeline.configuration import sql
from pipeline.errors import UserError

_KEY = "captions.where"
_ROWS = "source"
_NUMBER, _HOLDS = "row number", "row holds"


class Condition:
    """One SQL condition that is judged of every row by itself, and always alike."""

    def __init__(self, text: str) -> None:
        """Parse it.

        Raises:
            UserError: it is none, names no column, looks at more than a row, or gives something else every time.
        """
        self._text = text
        self._connection = sql.connect()
        try:
            parsed = sql.parse(self._connection, text)
        except ValueError as error:
            raise self._refused(str(error)) from None
        parts = list(sql.parts_of(parsed))
        if beyond := {"SUBQUERY", "STAR", "WINDOW"}.intersection(part.get("class") for part in parts):
            raise self._refused(f"a row is judged by itself, without {', '.join(sorted(beyond)).lower()}")
        columns = [part["column_names"] for part in parts if part.get("column_names")]
        names = {name.lower() for name in sql.names_in(parsed)} - {name.lower() for path in columns for name in path}
        if found := sorted(names & sql.changing_functions(self._connection)):
            raise self._refused(f"{found[0]} gives something else every time")
        self.columns = tuple(dict.fromkeys(path[0] for path in columns))
        """The columns that it names, in their order; what they are called in the source may differ in case."""
        if not self.columns:
            raise self._refused("it names no column of the source")

    def columns_among(self, available: Sequence[str], file: str) -> list[str]:
        """The columns that it needs, as they are called there.

        Args:
            available: what the source has.
            file: for messages.

        Raises:
            UserError: one is not there.
        """
        by_name = {name.lower(): name for name in reversed(available)} | {name: name for name in available}
        for name in self.columns:
            if name not in by_name and name.lower() not in by_name:
                shown = ", ".join(column[:60] for column in available[:20])
                raise UserError(f"{_KEY}: {file} has no column {name!r}; it has {shown}")
        return [by_name.get(name) or by_name[name.lower()] for name in self.columns]

    def holds(self, columns: dict[str, pa.Array]) -> np.ndarray:
        """Of which rows it is true (not false, and not null), bool [n].

        Args:
            columns: of the rows, those of `columns_among` at least, called as there.

        Raises:
            UserError: DuckDB cannot judge a row.
        """
        [count] = {len(array) for array in columns.values()}
        rows = pa.table(columns | {_NUMBER: pa.array(np.arange(count))})
        self._connection.register(_ROWS, rows)
        query = f'select "{_NUMBER}", coalesce(cast(({self._text}\n) as boolean), false) as "{_HOLDS}" from {_ROWS}'
        try:
            found = self._connection.sql(query).to_arrow_table()
        except duckdb.Error as error:
            why = str(error)
            if "VARCHAR" in why or "Could not convert" in why:
                why += "\nColumns of CSV, TSV and JSON are text: try_cast(width as double) > 512"
            raise self._refused(why) from None
        finally:
            self._connection.unregister(_ROWS)
        if len(found) != count:
            raise self._refused("it does not give one value for each row")
        return found.sort_by(_NUMBER)[_HOLDS].to_numpy()

    def _refused(self, why: str) -> UserError:
        shown = self._text if len(self._text) <= 500 else f"{self._text[:500]}…"
        return UserError(f"{_KEY}: {shown!r} is no condition on the rows of the source: {why}")
