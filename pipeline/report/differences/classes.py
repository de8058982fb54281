"""Two evaluations of one data set beside the datasets that their CLIPs were adapted on."""

from collections.abc import Sequence

from pipeline.differences.classes import ClassChange, class_changes
from pipeline.errors import UserError
from pipeline.report.evaluation.pictures import open_evaluated
from pipeline.report.evaluation.reading import EvaluatedModel, read_evaluations


def read_both(a: str, b: str) -> tuple[EvaluatedModel, EvaluatedModel]:
    """Two complete evaluations of one data set.

    Raises:
        UserError: one is not complete, or they are of different data.
        OSError: storage cannot be read.
    """
    first, second = read_evaluations({"a": a, "b": b})  # named so, the same may be given twice
    return first, second


def changes_of(
    first: EvaluatedModel, second: EvaluatedModel, nouns: Sequence[dict]
) -> tuple[list[ClassChange], str | None]:
    """The classes of two evaluations with the pairs that name them, and what is to be told of their names.

    Args:
        nouns: rows of `schemas.NOUN_DIFFERENCES`.
    """
    names, remark = class_names(second)
    return class_changes(names, _ious(first), _ious(second), nouns), remark


def _ious(model: EvaluatedModel) -> dict[int, float]:
    """By label; {} if nothing of the data set is labelled."""
    return {label: row["iou"] for label, row in model.scores(model.branch).items()} if model.result["scores"] else {}


def class_names(model: EvaluatedModel) -> tuple[list[tuple[str, ...]], str | None]:
    """All names of each class, by label; where the data set cannot be opened from here, the first ones, and why."""
    try:
        return list(open_evaluated(model).classes), None
    except (UserError, OSError, LookupError, TypeError) as error:
        first = {row["label"]: (row["name"],) for row in [*model.classes, *model.objects]}
        remark = (
            f"other names of the classes than their first are not known, since the data set cannot be read: {error}"
        )
        return [first[label] for label in sorted(first)], remark
