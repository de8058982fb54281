"""What proposals a mining job would get: how many, how fast, how well they cover known objects."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from pipeline.captions import open_captions
from pipeline.configuration import limits
from pipeline.errors import UserError
from pipeline.escaping.terminal import escape
from pipeline.execution.memory import peak_mb
from pipeline.images import read_upright
from pipeline.mining.config import MineConfig
from pipeline.mining.steps.find_nouns import noun_rows
from pipeline.mining.steps.propose_masks import ProposeMasks
from pipeline.mining.steps.read_images import read_ahead
from pipeline.mining.work import Image, Shard, reject_on_error
from pipeline.nouns import NounExtractor
from pipeline.proposals import load_proposer
from pipeline.proposals.ground_truth import GroundTruth, all_annotated
from pipeline.proposals.proposer import is_prompted
from pipeline.proposals.recall import Recall, best_overlaps, recall_by_area


@dataclass
class ProposalReport:
    """Figures of the proposals of some images."""

    backend: str
    device: str
    counts: list[int] = field(default_factory=list)
    """Proposals of each image that has some."""
    rejected: Counter = field(default_factory=Counter)
    """Images without, by `stage: reason`."""
    rejected_nouns: Counter = field(default_factory=Counter)
    """Nouns that were asked for and that no mask answers, likewise; also of images that have some."""
    details: dict[str, str] = field(default_factory=dict)
    """Of the first image that was rejected for each of these, what is known beside the reason."""
    seconds: float = 0.0
    """Of the proposal stage, from JPEG bytes to run-length codes; all images together."""
    peak_mb: float = 0.0
    """Peak resident memory of this process while it proposed."""
    peak_gpu_mb: float | None = None
    recall: dict[str, Recall] = field(default_factory=dict)
    """By size of the objects; empty without annotations."""

    @property
    def images(self) -> int:
        """Images looked at."""
        return len(self.counts) + self.rejected.total()


def measure_proposals(config: MineConfig, annotations: str | None = None) -> ProposalReport:
    """Run the proposal stage of a mining job, in this process, on the first `limit` images of its source.

    Args:
        annotations: COCO instances or panoptic JSON of these images, to measure recall.

    Raises:
        UserError: the source, the backend or the annotations cannot be used.
    """
    limits.check(config)
    proposer = load_proposer(config.proposals)
    truth = all_annotated(annotations) if annotations else None
    step = ProposeMasks(proposer, config.matching.text)
    gpu = torch.cuda.is_available()
    backends = ", ".join(name for name, _ in config.proposals.each())
    report = ProposalReport(backends, torch.cuda.get_device_name() if gpu else "CPU")
    best, areas = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    find = _nouns(config) if is_prompted(proposer) else None
    for shard in _shards(config, find):
        if not report.images and shard.remaining():  # the first use of a model is slower than all others
            first = shard.remaining()[0]
            step(Shard(0, [Image(0, first.row, jpeg=first.jpeg, nouns=first.nouns)]), lambda *_: None)
            _reset_peaks(gpu)
        started = time.perf_counter()
        step(shard, lambda *_: None)
        report.seconds += time.perf_counter() - started
        report.rejected += shard.reasons()
        for reject in shard.rejects:
            report.rejected_nouns[f"{reject['stage']}: {reject['reason']}"] += reject["noun"] is not None
            report.details.setdefault(f"{reject['stage']}: {reject['reason']}", reject["detail"])
        for image in shard.remaining():
            assert image.proposals is not None  # only a rejected image is without
            report.counts.append(len(image.proposals.masks))
            if truth:
                found, sizes = _overlaps(image, truth)
                best.append(found)
                areas.append(sizes)
    if not report.images:
        raise UserError(f"captions.path: {config.captions.path} lists no images")
    report.peak_mb = peak_mb()
    report.peak_gpu_mb = torch.cuda.max_memory_allocated() / 1e6 if gpu else None
    if truth:
        report.recall = recall_by_area(np.concatenate(best), np.concatenate(areas))
    return report


def print_proposals(report: ProposalReport) -> None:
    """Print a report."""
    table = Table("proposals", escape(report.backend), show_header=True)
    counts = np.array(report.counts) if report.counts else np.zeros(1, int)
    lowest, median, highest = np.quantile(counts, (0, 0.5, 1))
    for name, value in (
        ("images", report.images),
        ("proposals an image", f"{counts.mean():.1f} ({lowest:.0f} to {highest:.0f}, median {median:.0f})"),
        ("seconds an image", f"{report.seconds / report.images:.3f} on {report.device}"),
        ("peak memory", f"{report.peak_mb:.0f} MB"),
        *([("peak memory of the GPU", f"{report.peak_gpu_mb:.0f} MB")] if report.peak_gpu_mb is not None else []),
        *((f"nouns without a mask: {reason}", count) for reason, count in report.rejected_nouns.most_common() if count),
        *((f"rejected: {reason}", _with_detail(report, reason)) for reason, _ in report.rejected.most_common()),
    ):
        table.add_row(escape(name), escape(str(value)))
    Console().print(table)
    if report.recall:
        table = Table("objects", "count", "mean best IoU", "recall at 0.5", "recall at 0.75")
        for name, found in report.recall.items():
            figures = (f"{value:.3f}" for value in (found.mean_best_iou, found.at_50, found.at_75))
            table.add_row(name, str(found.objects), *figures)
        Console().print(table)


def _with_detail(report: ProposalReport, reason: str) -> str:
    count, detail = report.rejected[reason], report.details.get(reason)
    return f"{count}; of the first: {detail}" if detail else str(count)


def _nouns(config: MineConfig) -> Callable[[list[str]], list[dict]]:
    """Captions of an image → its nouns, all that are found: there is no vocabulary yet."""
    extractor = NounExtractor.from_config(config.nouns)
    most = None if config.captions_per_image == "all" else config.captions_per_image

    def find(captions: list[str]) -> list[dict]:
        return noun_rows(extractor.extract(captions[:most]), config.nouns.form)

    return find


def _shards(config: MineConfig, find: Callable[[list[str]], list[dict]] | None) -> Iterator[Shard]:
    """The images as they come to the proposal stage, read, many at a time.

    Args:
        find: the nouns of captions; None if nobody asks for them.
    """
    listed = (row for batch in open_captions(config.captions).batches() for row in batch.to_pylist())
    rows = islice(listed, config.limit)
    number = 0
    while chunk := list(islice(rows, config.shards.images_per_shard)):
        shard = Shard(number, [Image(index, row) for index, row in enumerate(chunk)])
        for image in shard.images:
            if image.row["problem"] is not None:
                shard.reject(image, "captions", image.row["problem"])
        if find:
            for image in shard.remaining():
                image.nouns = find(image.row["captions"])
                if not image.nouns:
                    shard.reject(image, "nouns", "no_nouns")
        for image, file in read_ahead(shard.remaining(), config.images):
            with reject_on_error(shard, image, "images"):
                image.jpeg = read_upright(file.result(), config.images)
        yield shard
        number += 1


def _overlaps(image: Image, truth: GroundTruth) -> tuple[np.ndarray, np.ndarray]:
    """Per annotated object of an image the IoU of the best proposal, and its area in pixels."""
    found, file = image.proposals, image.jpeg
    assert found is not None  # only a rejected image is without
    assert file is not None
    # The backend asks for the pixels' size alone.
    frame = np.broadcast_to(np.uint8(0), (*found.masks.size, 3))
    [objects] = truth.propose([frame], [image.row["image_id"]], [file])
    return best_overlaps(objects.masks, found.masks), objects.masks.areas


def _reset_peaks(gpu: bool) -> None:
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # Linux alone can
        Path("/proc/self/clear_refs").write_text("5")
