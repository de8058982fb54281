"""The columns that the model of right pairs learns from; P pairs, F columns.

All of them are known for every pair before anybody has labelled one. What a pair says alone (score, margins, area) is
joined by what its noun does in the whole dataset: a noun that names what no region can show has a low mean score
everywhere, and this tells more than the score of one pair.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.quality.columns import PairColumns
from pipeline.quality.opinions import Opinion

_LEAST_AREA = 1e-6


def features(pairs: PairColumns, opinions: Sequence[Opinion] = ()) -> tuple[list[str], np.ndarray]:
    """Names of the columns, and their values float32 [P,F].

    Where a value is missing there is 0 and a 1 in the column `… missing`; a column of which nothing is missing has no
    such column.
    """
    noun_score = pairs.noun_score[pairs.noun]
    columns: list[tuple[str, np.ndarray]] = [
        ("score", pairs.score),
        ("noun's mean score", noun_score),
        ("score above noun's mean", pairs.score - noun_score),
        ("noun margin", pairs.noun_margin),
        ("noun's mean noun margin", pairs.mean_by_noun(pairs.noun_margin)[pairs.noun]),
        ("mask margin", pairs.mask_margin),
        ("log area", np.log(np.maximum(pairs.area, _LEAST_AREA))),
        ("log pairs of noun", np.log(pairs.noun_pairs[pairs.noun])),
        ("rank in image", pairs.rank),
        ("log pairs of image", np.log(pairs.image_pairs[pairs.image])),
        ("mask is shared", pairs.sharing > 1),
        ("log proposal rank", np.log1p(pairs.proposal_index)),
        ("proposal score", pairs.proposal_score),
    ]
    columns += [(opinion.name, opinion.score) for opinion in opinions]
    names, values = [], []
    for name, column in columns:
        missing = ~np.isfinite(column)
        names.append(name)
        values.append(np.where(missing, 0, column).astype(np.float32))
        if missing.any():
            names.append(f"{name} missing")
            values.append(missing.astype(np.float32))
    return names, np.stack(values, axis=1)
