"""How often the pairs of a dataset are right: overall, by score, by noun, and above any threshold."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.curves import Curve, curve
from pipeline.quality.estimates import Estimate, estimate
from pipeline.quality.fitting import Fit, fit
from pipeline.quality.model import too_few
from pipeline.quality.noun_groups import GROUPS, noun_groups
from pipeline.quality.opinions import Opinion, read_opinions
from pipeline.quality.sources import Source, read_source
from pipeline.quality.tables import read_stored

_LEAST_LABELS = 10
_MOST_NOUNS = 12


@dataclass(frozen=True)
class Part:
    """Some of the pairs."""

    name: str
    precision: Estimate


@dataclass(frozen=True)
class PrecisionReport:
    """All figures of `jobs.inspect precision`."""

    output: str
    source: Source
    remarks: tuple[str, ...]
    predictions: bool
    """Whether predictions of the model narrow the intervals."""
    overall: Estimate
    labels_alone: Estimate
    """The same without predictions."""
    scores: tuple[Part, ...]
    """Quarters of the pairs by score."""
    groups: tuple[Part, ...]
    """Nouns by frequency."""
    nouns: tuple[Part, ...]
    """Single nouns with ten labels or more, those with most first."""
    curves: tuple[Curve, ...]
    wanted: float
    """The precision to find thresholds for, 0..1."""

    def as_json(self) -> dict:
        """Plain values; what is not known is None."""
        return {
            "output": self.output,
            self.source.kind: {"uri": self.source.uri, "sha256": self.source.sha256},
            "remarks": list(self.remarks),
            "predictions": self.predictions,
            "overall": _plain(self.overall),
            "labels_alone": _plain(self.labels_alone),
            **{
                name: [{"name": part.name, **_plain(part.precision)} for part in parts]
                for name, parts in (("scores", self.scores), ("groups", self.groups), ("nouns", self.nouns))
            },
            "curves": {
                found.key: [
                    {"threshold": point.threshold, "share": point.share, **_plain(point.precision)}
                    for point in found.points
                ]
                for found in self.curves
            },
            "wanted": {
                "precision": self.wanted,
                **{
                    found.key: {name: _where(found, self.wanted, sure) for name, sure in _SURE} for found in self.curves
                },
            },
        }


_SURE = (("estimate", False), ("lower_bound", True))


def measure_precision(
    output: str,
    *,
    labels: str | None = None,
    annotations: str | None = None,
    opinions: Sequence[str] = (),
    wanted: float = 0.9,
) -> PrecisionReport:
    """Measure the precision of a mined dataset by labels, or by annotations.

    Args:
        output: output directory of a mining job, any fsspec URI.
        labels: JSON of the labelling page.
        annotations: COCO instances or panoptic JSON of the images, in place of labels.
        opinions: second opinions (`pipeline.quality.opinions`): Parquet tables, or `verify:` and a verifier's name.
        wanted: precision to find thresholds for, 0..1.

    Raises:
        UserError: one of them cannot be used; says which and why.
        OSError: storage cannot be read.
    """
    if not 0 < wanted < 1:
        raise UserError(f"--wanted {wanted:g}: a precision is between 0 and 1, such as 0.9")
    dataset = open_mined_dataset(output)
    pairs = read_columns(dataset)
    source = read_source(dataset, labels, annotations)
    found = read_opinions(opinions, pairs, dataset)
    remarks = [*source.remarks, *opinion_remarks(found, pairs)]
    fitted, why = _fit(pairs, found, source)
    remarks += [why] if why else []
    stored = read_stored(dataset, pairs)
    measure = _Measure(pairs, source, fitted if source.answers.drawn else None)
    curves = [measure.curve("clip_score", pairs.score, pairs.score[source.answers.row])]
    if isinstance(stored, str):
        remarks.append(stored)
    elif stored is not None:
        labelled = stored.p_right[source.answers.row].astype(np.float64)
        if stored.about.get("answers_sha256") != source.sha256:
            curves.append(measure.curve("p_right", stored.p_right, labelled))
        elif fitted is None or stored.about.get("fit") != fitted.description():
            remarks.append(
                "p_right was made from these answers with other columns or versions, so a threshold by it would be "
                "judged by what it has seen; give the same --opinion, or write the quality tables again"
            )
        else:  # made from these very answers: they are judged by models that have not seen them
            labelled[fitted.model.used] = fitted.model.out_of_fold
            curves.append(measure.curve("p_right", stored.p_right, labelled))
    everything = np.ones(len(source.answers), bool)
    return PrecisionReport(
        output,
        source,
        tuple(remarks),
        measure.fit is not None,
        measure.part(np.ones(len(pairs), bool)),
        estimate(source.answers, everything, len(pairs)),
        tuple(measure.quarters()),
        tuple(measure.groups()),
        tuple(measure.nouns()),
        tuple(curves),
        wanted,
    )


def opinion_remarks(opinions: Sequence[Opinion], pairs: PairColumns) -> list[str]:
    """What to know of second opinions."""
    return [
        f"{opinion.name}: it says nothing of {opinion.missing} of {len(pairs)} pairs"
        for opinion in opinions
        if opinion.missing
    ]


def _fit(pairs: PairColumns, opinions: Sequence[Opinion], source: Source) -> tuple[Fit | None, str | None]:
    """A model for predictions, or why there is none."""
    answers = source.answers
    if problem := too_few(answers.right[answers.clear]):
        return None, f"{problem}; intervals are of labels alone"
    try:
        return fit(pairs, opinions, answers), None
    except UserError as error:
        return None, f"{error}; intervals are of labels alone"


class _Measure:
    def __init__(self, pairs: PairColumns, source: Source, fitted: Fit | None) -> None:
        self.pairs, self.answers, self.fit = pairs, source.answers, fitted

    def part(self, domain: np.ndarray) -> Estimate:
        predicted = None if self.fit is None or not domain.any() else self.fit.predicted(domain)
        return estimate(self.answers, domain[self.answers.row], int(domain.sum()), predicted)

    def curve(self, key: str, values: np.ndarray, labelled: np.ndarray) -> Curve:
        return curve(key, values, labelled, self.answers, self.fit)

    def quarters(self) -> Iterator[Part]:
        edges = np.quantile(self.pairs.score, (0.25, 0.5, 0.75), method="lower")
        quarter = np.searchsorted(edges, self.pairs.score, side="left")
        bounds = [float(self.pairs.score.min()), *map(float, edges), float(self.pairs.score.max())]
        for number in range(4):
            if (domain := quarter == number).any():
                yield Part(f"score {bounds[number]:.3f} to {bounds[number + 1]:.3f}", self.part(domain))

    def groups(self) -> Iterator[Part]:
        group = noun_groups(self.pairs)
        for number in range(len(GROUPS) - 1, -1, -1):
            if nouns := int((group == number).sum()):
                yield Part(f"{GROUPS[number]} ({nouns})", self.part(group[self.pairs.noun] == number))

    def nouns(self) -> Iterator[Part]:
        of_noun = np.bincount(self.pairs.noun[self.answers.row], minlength=len(self.pairs.nouns))
        for noun in np.argsort(-of_noun, kind="stable")[:_MOST_NOUNS].tolist():
            if of_noun[noun] >= _LEAST_LABELS:
                yield Part(self.pairs.nouns[noun], self.part(self.pairs.noun == noun))


def _plain(found: Estimate) -> dict[str, Any]:
    values = dataclasses.asdict(found)
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def _where(found: Curve, wanted: float, sure: bool) -> dict[str, Any] | None:
    point = found.wanted(wanted, sure=sure)
    if point is None:
        return None
    return {"where": found.condition(point), "share": point.share, **_plain(point.precision)}
