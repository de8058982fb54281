"""What an output directory holds, and the report that belongs to it."""

from collections.abc import Sequence
from typing import Literal

import pyarrow as pa

from pipeline import storage
from pipeline.configuration.described import read_description
from pipeline.configuration.fingerprint import kind_of as kind_of_job
from pipeline.errors import UserError
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from pipeline.report.evaluation import default_labels, write_evaluation_report
from pipeline.report.training import write_training_report

Kind = Literal["dataset", "training", "evaluation"]

_KINDS: dict[str | None, Kind] = {"mine": "dataset", "train": "training", "evaluate": "evaluation"}


def kind_of_output(uri: str) -> Kind:
    """What lies in an output directory, by its `config.yaml`.

    Raises:
        UserError: it is not one of this program's, or of a job that has no report.
    """
    if (job := kind_of_job(read_description(uri))) not in _KINDS:
        raise UserError(
            f"{uri}: there are reports of mined datasets, training runs and evaluations; this is none of them"
        )
    return _KINDS[job]


def write_report(
    paths: Sequence[str],
    to: str | None = None,
    samples: int | None = None,
    annotations: str | None = None,
    label: int | None = None,
    mined: str | None = None,
) -> str:
    """Write the report of an output directory, or of several evaluations side by side; returns the URI of its page.

    Args:
        paths: output directories; evaluations may be named, as in `before=./evaluated`.
        to: a folder, or an HTML file. Empty: `report` in the output directory.
        samples: pairs of a dataset, changed regions of a training run, or images of an evaluation's groups to show.
            Empty: as many as each report shows by itself.
        annotations: of a dataset: COCO instances or panoptic JSON of its images.
        label: of a dataset: so many pairs can be labelled on the page.
        mined: of evaluations: a mined dataset, whose pairs are set beside the classes.

    Raises:
        UserError: what lies there has no report or is not complete, several directories that are not evaluations of
            the same data, or annotations of, labels for, or pairs beside something that cannot have them.
        OSError: storage cannot be read or written.
    """
    named = default_labels(paths)
    for uri in named.values():
        storage.check_readable(uri, "output")
    kinds = {uri: kind_of_output(uri) for uri in named.values()}
    [first, *others] = named.values()
    if others and set(kinds.values()) != {"evaluation"}:
        found = ", ".join(f"{uri} ({kind})" for uri, kind in kinds.items())
        raise UserError(f"only evaluations can be shown side by side: {found}; write a report of each")
    if others and to is None:
        raise UserError("a report of several evaluations belongs to none of them: say with --output where it goes")
    if annotations and kinds[first] != "dataset":
        raise UserError(f"--annotations: they belong to a mined dataset; {first} is none ({kinds[first]})")
    if label is not None and kinds[first] != "dataset":
        raise UserError(f"--label: pairs of a mined dataset are labelled; {first} is none ({kinds[first]})")
    if mined and kinds[first] != "evaluation":
        raise UserError(f"--mined: pairs are set beside the classes of an evaluation; {first} is none ({kinds[first]})")
    if samples is not None and samples < 1:
        raise UserError(f"--samples is {samples}; it must be at least 1")
    target = to or storage.join(first, "report")
    if kinds[first] == "dataset":
        shown = {} if samples is None else {"samples": samples}
        return write_dataset_report(first, target, DatasetReportOptions(annotations=annotations, label=label, **shown))
    try:
        if kinds[first] == "training":
            return write_training_report(first, target, samples)
        return write_evaluation_report(named, target, samples, mined)
    # Results may be another's, or of another version: whatever is not in them is about them.
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, pa.ArrowException) as error:
        raise UserError(
            f"{', '.join(named.values())}: result.json, config.yaml or a table is not as this version of the program "
            f"writes it ({type(error).__name__}: {str(error)[:300]})"
        ) from error
