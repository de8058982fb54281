"""`data.where`: which pairs of a dataset are used."""

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.training.expression import Expression


def filter_pairs(pairs: pa.Table, where: Expression) -> pa.Table:
    """The pairs for which an SQL condition holds; where it is null, it does not.

    Window functions see all pairs: `percent_rank() over (partition by noun order by clip_score desc) < 0.6` keeps the
    best 60 % of each noun.

    Args:
        pairs: sorted by key.

    Raises:
        UserError: DuckDB refuses the condition, or it holds for no pair.
    """
    found = pairs.filter(pc.fill_null(where.over(pairs, "boolean"), False))
    if not len(found):
        raise UserError(f"{where.key}: none of the {len(pairs)} pairs fulfils {where.text!r}")
    return found
