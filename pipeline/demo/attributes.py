"""The ablation of phrases, hard negatives and a second opinion, in a world whose things have a colour and a pattern."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.verified import read_verified
from pipeline.demo.asked_names import AskedNames, measure_asked_names
from pipeline.demo.attribute_accuracy import attribute_accuracy
from pipeline.demo.labelling import right_pairs
from pipeline.demo.measures import measure
from pipeline.demo.runs import NEGATIVES, SECOND, SURROUNDINGS, DemoRuns
from pipeline.demo.variants import UNTOUCHED, Variant

_TRAINED_SHARE = 0.6
SHARES = (1.0, 0.6, 0.4, 0.25)
"""Of the pairs, the best by a key: so many are kept."""

_PHRASES = {"data.text": "phrase"}
_NEGATIVES = {**_PHRASES, "loss.hard_negatives": NEGATIVES}


def _best_by(verifier: str) -> str:
    """The best pairs by the sum of the CLIP's and a verifier's standardised scores."""
    scores = ("clip_score", f"{verifier}_score")
    together = " + ".join(f"({score} - avg({score}) over ()) / stddev({score}) over ()" for score in scores)
    return (
        "key in (select key from (select key, percent_rank() over (order by together desc) as share from "
        f"(select key, {together} as together from pairs)) where share < {_TRAINED_SHARE})"
    )


VARIANTS = (
    Variant("nouns", "nouns only", "full", pairs="visual", where=None),
    Variant("phrases", "phrases", "full", pairs="phrases", where=None, changes=_PHRASES),
    Variant("negatives", "phrases and hard negatives", "full", pairs="phrases", where=None, changes=_NEGATIVES),
    Variant(
        "verified",
        "the same, best 60 % by two CLIPs",
        "full",
        pairs="phrases",
        where=_best_by(SECOND),
        changes=_NEGATIVES,
    ),
    Variant(
        "surroundings",
        "the same, best 60 % by one CLIP, masked and in surroundings",
        "full",
        pairs="phrases",
        where=_best_by(SURROUNDINGS),
        changes=_NEGATIVES,
    ),
)


@dataclass(frozen=True)
class MeasuredAttributes:
    """A CLIP in the world with attributes; per cent."""

    accuracy: dict[str, float]
    """True regions whose noun is the most similar of all 42: all, things, grounds."""
    attributes: float
    """Things whose true phrase is the most similar of ten that differ in one attribute."""


@dataclass(frozen=True)
class MeasuredOpinions:
    """How many of the best pairs are right; per cent, for each of `SHARES`."""

    right: dict[str, list[float]]
    """By the key that orders them: scores, and sums of standardised scores."""


@dataclass(frozen=True)
class AttributesSeed:
    """What one seed came to in its world with attributes."""

    clips: dict[str, MeasuredAttributes]
    """By title of the variant."""
    opinions: MeasuredOpinions
    asked: AskedNames


def run_attributes(runs: DemoRuns, say: Callable[[str], None]) -> AttributesSeed:
    """Run, or find done, everything of one seed in its world with attributes.

    Args:
        runs: those of the world with attributes.
        say: called with what begins.
    """
    say(f"scenes with attributes → {runs.folder}")
    runs.make_worlds()
    for name, first_weights in (("pretrained", 0), (SECOND, 1)):
        say(f"pretraining a small CLIP on phrases: {name}")
        runs.pretrain(name, first_weights)
    say("mining nouns, then phrases, then nouns that masks are asked for by")
    runs.mine_visual()
    runs.mine_phrases()
    runs.mine_by_name()
    measured = {"CLIP untouched": _measure(runs, UNTOUCHED)}
    for variant in VARIANTS:
        say(f"adapting: {variant.title}")
        runs.adapt(variant)
        measured[variant.title] = _measure(runs, variant.name)
    return AttributesSeed(measured, measure_opinions(runs), measure_asked_names(runs.mined_by_name, runs.mined_world))


def _measure(runs: DemoRuns, name: str) -> MeasuredAttributes:
    kept = runs.folder / "measured" / f"{name}.json"
    if kept.exists():
        return MeasuredAttributes(**json.loads(kept.read_text()))
    runs.evaluate(name)
    accuracy = measure(runs.evaluation(name), runs.groups).accuracy
    clip = runs.evaluation_config(name).clip
    found = MeasuredAttributes(
        {kind: accuracy[kind] for kind in ("all", "things", "grounds")},
        attribute_accuracy(clip, runs.folder / "test-world"),
    )
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(asdict(found)))
    return found


def measure_opinions(runs: DemoRuns) -> MeasuredOpinions:
    """How many of the best mined phrases are right by the truth: those that name nothing in the scene are wrong."""
    rows: list[dict] = []
    scores: dict[str, list[float]] = {SECOND: [], SURROUNDINGS: []}
    dataset = open_mined_dataset(str(runs.mined_phrases))
    for manifest in dataset.manifests():
        rows += manifest.table.to_pylist()
        opinions = read_verified(dataset.layout, manifest).of_pairs(manifest.table["key"])
        for verifier, found in scores.items():
            found += opinions[f"{verifier}_score"].to_pylist()
    right = right_pairs(rows, runs.mined_world)
    is_right = np.array([row["key"] in right for row in rows])
    clip, second, surroundings = (
        _standardised(values) for values in ([row["clip_score"] for row in rows], *scores.values())
    )
    keys = {
        "one CLIP's score": clip,
        "a second CLIP's": second,
        "both": clip + second,
        "the first CLIP's, in surroundings": surroundings,
        "both of the first": clip + surroundings,
        "all three": clip + second + surroundings,
    }
    return MeasuredOpinions(
        {title: [_best(values, is_right, share) for share in SHARES] for title, values in keys.items()}
    )


def _standardised(values: Sequence[float]) -> np.ndarray:
    array = np.array(values, np.float64)
    return (array - array.mean()) / array.std()


def _best(values: np.ndarray, is_right: np.ndarray, share: float) -> float:
    best = np.argsort(-values, kind="stable")[: round(share * len(values))]
    return 100 * float(is_right[best].mean())
