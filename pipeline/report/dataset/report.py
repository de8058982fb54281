"""From a mined dataset to its page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.dataset.opening import open_mined_dataset
from pipeline.errors import UserError
from pipeline.inspection.trouble import read_failures
from pipeline.proposals.ground_truth import GroundTruth, all_annotated
from pipeline.report.dataset import content, gallery, labelling
from pipeline.report.dataset.opinions import read_opinions
from pipeline.report.dataset.reading import read_pairs
from pipeline.report.dataset.shared import find_shared
from pipeline.report.dataset.shown import choose
from pipeline.report.dataset.thresholds import read_curves
from pipeline.report.dataset.thumbnails import Thumbnail, Thumbnails
from pipeline.report.dataset.truth import judge, measure_precision
from pipeline.report.page import page_uri, render, write_page
from pipeline.storage.documents import damaged

_SCRIPTS = ("pictures.js", "pager.js", "additions.js", "gallery.js", "thresholds.js", "nouns.js")
_LABELLING_SCRIPTS = ("label_store.js", "label_estimate.js", "labelling.js", "label_files.js")


@dataclass(frozen=True)
class DatasetReportOptions:
    """What a report shows of a dataset."""

    samples: int = 2000
    """Pairs shown, at most."""
    annotations: str | None = None
    """COCO instances or panoptic JSON of the images: pairs are then judged by it."""
    max_bytes: int = 25_000_000
    """Size of the page; the pictures are as large as that allows."""
    seed: int = 0
    """Which pairs are chosen."""
    label: int | None = None
    """Pairs to label, in a section of the page; None: no such section."""


def write_dataset_report(
    output: str, to: str | None = None, options: DatasetReportOptions = DatasetReportOptions()
) -> str:
    """Write one HTML file about a mined dataset, complete or still being mined. Returns its URI.

    All pairs are counted, `options.samples` of them are shown; storage is asked for these one by one.

    Args:
        output: output directory of a mining job, any fsspec URI.
        to: folder, or a name that ends in .html; by default `report` in `output`.

    Raises:
        UserError: no dataset, nothing of it committed yet, one of an older version, damaged tars, or annotations that
            cannot be read; options out of range, or more pairs to label than the page has room for.
        OSError: storage cannot be read or written.
    """
    if options.samples < 1:
        raise UserError(f"samples is {options.samples}; it must be at least 1")
    if options.label is not None and options.label < 1:
        raise UserError(f"--label is {options.label}; it must be at least 1")
    dataset = open_mined_dataset(output)
    layout, description, shards = dataset.layout, dataset.description, dataset.shards
    try:  # before the work: all that the page says of it
        content.recipe(description)
        sorted(description["versions"].items())
        pictures = Thumbnails(layout, **description["configuration"]["regions"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise damaged(layout.config, f"{type(error).__name__}: {error}") from error
    truth = all_annotated(options.annotations) if options.annotations else None
    dataset.check_begun()
    pairs, totals = read_pairs(layout, shards)
    shared = find_shared(pairs)
    curves = read_curves(layout, shards)
    precision = None
    if truth and curves and curves[0].column == "clip_score":
        precision = measure_precision(layout, shards, truth, curves[0].thresholds, options.seed)
    state = content.State(dataset.complete, len(shards), len(read_failures(layout, set(shards))))
    words = content.describe(output, description, state, pairs, totals, shared, curves, precision)
    sample = choose(pairs, shared, options.samples, options.seed)
    opinions = read_opinions(layout, shards, pairs, sample.pairs)
    words["opinions"] = content.describe_opinions(opinions)

    words["labelling"] = None
    scripts: tuple[str, ...] = _SCRIPTS
    room = options.max_bytes - len(render("dataset.html", _SCRIPTS, **words, **gallery.EMPTY).encode())
    if options.label:
        to_label = labelling.sample_to_label(pairs, pictures, options.label, options.seed, int(labelling.SHARE * room))
        words["labelling"] = labelling.describe(output, dataset, to_label)
        scripts += _LABELLING_SCRIPTS if to_label.thumbnails else ()
        room -= to_label.size

    side = pictures.fitting_side(pairs, sample.pairs, room - gallery.ROW_BYTES * len(sample.pairs))
    thumbnails = list(pictures.draw(pairs, sample.pairs, side))
    judged = _judged(thumbnails, truth) if truth else {}

    def page(shown: int) -> str:
        values = gallery.describe(pairs, shared, sample.first(shown), thumbnails[:shown], judged, opinions)
        return render("dataset.html", scripts, **words, **values)

    uri = page_uri(to or layout.path("report"))
    write_page(_fitting(page, len(thumbnails), options.max_bytes), uri)
    return uri


def _judged(thumbnails: Sequence[Thumbnail], truth: GroundTruth) -> dict[str, bool]:
    """Whether pairs are right, by key; those that the annotations say nothing about are missing."""
    rows = sorted((thumbnail.details for thumbnail in thumbnails), key=lambda row: row["image_id"])
    return {found.row["key"]: found.correct for found in judge(rows, truth)}


def _fitting(page: Callable[[int], str], shown: int, most: int) -> str:
    """The page with as many pictures as fit into `most` bytes: the first ones differ from the others in size."""
    html = page(shown)
    while (size := len(html.encode())) > most and shown:
        shown = int(shown * 0.99 * most / size)
        html = page(shown)
    return html
