"""MESS as it is reported: mIoU over each of its five domains, and over its 22 sets.

mess/evaluation/mess_evaluation.py of github.com/blumenstiel/MESS: a domain's figure is the mean over its sets, the last
one the mean over all sets (not over the domains), and PAXRay is one set, the mean of its four parts.
"""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from rich.table import Table

from pipeline.evaluation.datasets.mess import MESS_SETS
from pipeline.evaluation.object_result_tables import per_cent

_FOOTNOTE = (
    "mIoU in per cent by the older formula, which MESS's evaluator has. A mean over fewer sets than there are stands "
    "in brackets: it is not the benchmark's."
)
ALL = "all sets"


def mess_means(mious: Mapping[str, float]) -> dict[str, tuple[float | None, int, int]]:
    """Mean mIoU of each domain and of all sets, over how many sets, and how many there are.

    Args:
        mious: by the name of a set or part in `MESS_SETS`, 0..1.
    """
    parts: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, of_mess in MESS_SETS.items():
        parts[of_mess.domain][of_mess.folder].append(name)  # the four of PAXRay have one folder
    sets: dict[str, list[float | None]] = {
        domain: [
            float(np.mean([mious[name] for name in names])) if mious.keys() >= set(names) else None
            for names in folders.values()
        ]
        for domain, folders in parts.items()
    }
    sets[ALL] = [miou for found in sets.values() for miou in found]
    means = {}
    for title, found in sets.items():
        known = [miou for miou in found if miou is not None]
        means[title] = (float(np.mean(known)) if known else None, len(known), len(found))
    return means


def mess_table(mious: Mapping[str, float]) -> Table:
    """The means, and below them every set that was evaluated."""
    table = Table("MESS", caption=_FOOTNOTE, caption_justify="left")
    table.add_column("sets", justify="right")
    table.add_column("mIoU", justify="right")
    for title, (miou, known, there) in mess_means(mious).items():
        figure = per_cent(miou)
        table.add_row(title, f"{known} of {there}", figure if known in (0, there) else f"({figure})")
    table.add_section()
    for name in MESS_SETS:
        if name in mious:
            table.add_row(name, "", per_cent(mious[name]))
    return table
