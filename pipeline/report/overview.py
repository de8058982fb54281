"""The reports of jobs that belong together, in one folder, and a page that leads to them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.evaluation.label_maps import main_branch
from pipeline.evaluation.result import RESULT, read_result
from pipeline.report.dataset import DatasetReportOptions, write_dataset_report
from pipeline.report.evaluation import write_evaluation_report
from pipeline.report.page import page_uri, render, write_page
from pipeline.report.rounds import COLUMNS, round_cells
from pipeline.report.training import write_training_report
from pipeline.training.run_directory import RunDirectory


@dataclass(frozen=True)
class Work:
    """Output directories of complete jobs."""

    title: str
    """Heading of the page."""
    mined: str
    trained: Mapping[str, str]
    """Training runs by what the page calls them."""
    evaluated: Sequence[tuple[str, str]] = ()
    """Names of CLIPs and their evaluations; those of the same data are shown side by side, the first as what the
    others are compared with."""
    annotations: str | None = None
    """COCO instances or panoptic JSON of the mined images."""
    rounds: str | None = None
    """`rounds.json` of a chain with rounds."""


@dataclass
class _Benchmark:
    """Evaluations of the same data."""

    name: str
    evaluations: dict[str, str] = field(default_factory=dict)
    mious: dict[str, float | None] = field(default_factory=dict)
    page: str = ""


def result_uris(work: Work) -> list[str]:
    """The files that say what each job came to: if none of them changes, neither do the reports."""
    return [
        Layout(work.mined).dataset,
        *(RunDirectory(uri).result for uri in work.trained.values()),
        *(storage.join(uri, RESULT) for _, uri in work.evaluated),
        *([work.rounds] if work.rounds else []),
    ]


def write_overview(work: Work, to: str) -> str:
    """Write all reports below the folder `to`; returns the URI of the page that leads to them.

    Raises:
        UserError: a job is not complete.
        OSError: storage cannot be read or written.
    """
    write_dataset_report(work.mined, storage.join(to, "mined"), DatasetReportOptions(annotations=work.annotations))
    runs = {}
    for number, (name, uri) in enumerate(work.trained.items(), 1):
        folder = _numbered("adapted", number)
        write_training_report(uri, storage.join(to, folder))
        runs[name] = {"result": _read(RunDirectory(uri).result), "page": f"{folder}/index.html"}
    benchmarks = _benchmarks(work.evaluated)
    for number, benchmark in enumerate(benchmarks, 1):
        folder = _numbered("evaluated", number)
        write_evaluation_report(benchmark.evaluations, storage.join(to, folder))
        benchmark.page = f"{folder}/index.html"
    html = render(
        "overview.html",
        title=work.title,
        dataset=_read(Layout(work.mined).dataset),
        runs=runs,
        benchmarks=benchmarks,
        rounds=_rounds(work.rounds) if work.rounds else None,
    )
    page = page_uri(to)
    write_page(html, page)
    return page


def _rounds(uri: str) -> dict:
    result = _read(uri)
    return {
        "columns": COLUMNS,
        "rows": [round_cells(row, result) for row in result["rounds"]],
        "best": result["best"],
        "chosen_by": "mIoU" if result["chosen_by"] == "miou" else "accuracy on held-out regions",
    }


def _benchmarks(evaluated: Sequence[tuple[str, str]]) -> list[_Benchmark]:
    found: dict[str, _Benchmark] = {}
    for name, uri in evaluated:
        result = read_result(uri)
        data = json.dumps([result["dataset"], result["images"]], sort_keys=True)
        benchmark = found.setdefault(data, _Benchmark(result["dataset"]["name"]))
        label = name if name not in benchmark.evaluations else f"{name}, {uri.rstrip('/').rpartition('/')[2]}"
        benchmark.evaluations[label] = uri
        scores = result["scores"]
        benchmark.mious[label] = scores[main_branch(scores)]["miou"] if scores else None
    return list(found.values())


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _read(uri: str) -> dict:
    return json.loads(storage.read_bytes(uri))
