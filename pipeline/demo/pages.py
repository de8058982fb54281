"""The pages of a demo: what was mined, every training run, and all CLIPs side by side."""

from collections.abc import Sequence

from pipeline.demo.runs import DemoRuns
from pipeline.demo.story import UNTOUCHED_TITLE
from pipeline.demo.variants import UNTOUCHED, Variant
from pipeline.report.overview import Work, write_overview


def write_pages(runs: DemoRuns, variants: Sequence[Variant]) -> str:
    """Write the reports of one seed; returns the path of the page that leads to them.

    Args:
        variants: those to show beside the untouched CLIP; they are trained and evaluated.
    """
    work = Work(
        title="The micro world",
        mined=str(runs.mined),
        trained={variant.title: str(runs.adapted(variant.name)) for variant in variants},
        evaluated=[
            (UNTOUCHED_TITLE, str(runs.evaluation(UNTOUCHED))),
            *((variant.title, str(runs.evaluation(variant.name))) for variant in variants),
        ],
        annotations=str(runs.folder / "mined-world" / "panoptic.json"),
    )
    return write_overview(work, str(runs.folder / "report"))
