"""`data.weight`: how much each pair counts in the loss."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.training.expression import Expression

_NOTHING = 1e-12
"""Shares of the mean below this are as good as 0, and their logarithms in float32 would be of no use."""


def weigh_pairs(pairs: pa.Table, weight: Expression) -> np.ndarray:
    """The weights of pairs, divided by their mean: float64 [P], 0 or at least 1e-12.

    Args:
        pairs: those that are trained on, sorted by key: window functions and subqueries see these alone.

    Raises:
        UserError: DuckDB refuses the expression, it gives a pair no weight (null, NaN, infinite, negative), or each
            the weight 0.
    """
    values = weight.over(pairs, "double")
    weights_P = pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False)
    usable_P = np.isfinite(weights_P) & (weights_P >= 0)
    if not usable_P.all():
        first = int(np.argmin(usable_P))
        raise UserError(
            f"{weight.key}: {weight.text!r} gives {np.count_nonzero(~usable_P)} of the {len(pairs)} training pairs no "
            f"weight, which is a number from 0: {pairs['key'][first]} gets {_shown(values[first])}; leave such pairs "
            "out with data.where, or use coalesce(…, 0) and greatest(…, 0)"
        )
    if not (most := weights_P.max()):
        raise UserError(f"{weight.key}: {weight.text!r} gives each of the {len(pairs)} training pairs the weight 0")
    weights_P = weights_P / most  # their sum may be too large for a number
    if (weights_P == 1).all():
        return weights_P
    weights_P = np.where(weights_P < _NOTHING * weights_P.mean(), 0, weights_P)
    return weights_P / weights_P[weights_P > 0].mean()


def _shown(value: pa.Scalar) -> str:
    return "null" if value.as_py() is None else f"{value.as_py():g}"
