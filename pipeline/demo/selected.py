"""Which pairs a variant learns from, by the truth: precision alone favours grounds and frequent nouns."""

import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from pipeline.demo.labelling import right_pairs
from pipeline.demo.measures import mined_rows
from pipeline.demo.runs import DemoRuns
from pipeline.demo.variants import Variant
from pipeline.microworld.categories import NAMES, THINGS
from pipeline.training.samples import select_samples


@dataclass(frozen=True)
class SelectedPairs:
    """The pairs that a variant learns from."""

    pairs: int
    right: float
    """Per cent of them that are right; a noun that names nothing in the scene is wrong."""
    things: float
    """Per cent of them whose noun is a thing."""
    nouns: int
    """Nouns of the world among them."""
    rare_nouns: float
    """Per cent of the pairs of the rarer half of these nouns that are kept."""


def measure_selected(runs: DemoRuns, variant: Variant) -> SelectedPairs:
    """Look at the pairs of visual nouns that a variant learns from; kept beside its training run.

    The quality tables have to be those of the variant, as when it is adapted.
    """
    kept = runs.folder / "selected" / f"{variant.name}.json"
    if kept.exists():
        return SelectedPairs(**json.loads(kept.read_text()))
    rows = mined_rows(runs.mined_visual)
    data = replace(runs.training(runs.mined_visual, runs.mined_visual, runs.mined_visual).data, where=variant.where)
    keys = set(select_samples(str(runs.mined_visual), data).table["key"].to_pylist())
    found = _measure(rows, keys, right_pairs(rows, runs.mined_world))
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(asdict(found)))
    return found


def _measure(rows: list[dict], keys: set[str], right: set[str]) -> SelectedPairs:
    chosen = [row for row in rows if row["key"] in keys]
    nouns = [row["noun"] for row in rows if row["noun"] in NAMES]
    counts = {noun: nouns.count(noun) for noun in set(nouns)}
    rare = set(sorted(counts, key=lambda noun: (counts[noun], noun))[: len(counts) // 2])
    kept_rare = sum(row["noun"] in rare for row in chosen)
    return SelectedPairs(
        pairs=len(chosen),
        right=100 * float(np.mean([row["key"] in right for row in chosen])),
        things=100 * float(np.mean([row["noun"] in THINGS for row in chosen])),
        nouns=len({row["noun"] for row in chosen} & set(NAMES)),
        rare_nouns=100 * kept_rare / max(sum(row["noun"] in rare for row in rows), 1),
    )
