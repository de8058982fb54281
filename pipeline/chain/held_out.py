"""What every CLIP of a chain with rounds is measured on: the held-out images of round 0, the same for all.

Accuracy: the share of their regions that are nearest to their own noun. Retention: the share of the whole images whose
nearest noun of the vocabulary is one that their captions name, which adaptation to masked regions may cost.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import ray
import torch
from ray.exceptions import RayTaskError

from pipeline import storage
from pipeline.clip import Clip, RegionEncoder, load_clip
from pipeline.dataset.checked_tables import read_checked_table, read_columns
from pipeline.dataset.layout import Layout
from pipeline.images import ImageProblem, ImagesConfig, decode_jpeg, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.steps.read_images import read_ahead
from pipeline.mining.work import Image
from pipeline.regions import RegionsConfig
from pipeline.training.config import TrainConfig
from pipeline.training.crops import cut_batches
from pipeline.training.loader import validation_loader
from pipeline.training.noun_embeddings import embed_nouns
from pipeline.training.samples import Samples, select_samples
from pipeline.training.validation import validate

_WHOLE_IMAGES_PER_BATCH = 64
_KEYS = ("accuracy", "regions", "retention", "images", "unread")


@dataclass(frozen=True)
class HeldOut:
    """What is measured, and how."""

    train: TrainConfig
    """Of round 0: its dataset, and in `data` the condition on the regions and the share of the images."""
    images: ImagesConfig
    """How the dataset's images were read."""
    max_images: int
    """Whole images at most, evenly spread."""

    def samples(self) -> Samples:
        """The regions."""
        return select_samples(self.train.dataset, self.train.data)


@dataclass(frozen=True)
class Measured:
    """What a CLIP does on the held-out images."""

    accuracy: float | None
    """Share of the regions that are nearest to their own noun; None without any."""
    regions: int
    retention: float | None
    """Share of the whole images that are nearest to a noun of their captions; None without any."""
    images: int
    unread: int
    """Images that could not be read."""


def measure_held_out(held_out: HeldOut, architecture: str | None, weights: str | None, uri: str, gpu: bool) -> Measured:
    """Measure a CLIP on a worker of the Ray cluster, or find it measured.

    Args:
        uri: JSON file that keeps the figures, with what they are of.

    Raises:
        UserError: the CLIP or the dataset cannot be read.
        OSError: storage failed.
    """
    samples = held_out.samples()
    data, model = held_out.train.data, held_out.train.model
    about = {
        "manifest_sha256": samples.manifest_sha256,
        "samples_sha256": samples.sha256,
        "shown": [data.held_out_share, data.fill, data.expand, model.templates, model.precision],
        "most": [held_out.train.validation.max_regions, held_out.max_images],
        "images": asdict(held_out.images),
        "clip": load_clip(architecture, weights).weights_sha256(),
    }
    fingerprint = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    if storage.exists(uri):
        kept = json.loads(storage.read_bytes(uri))
        if kept.get("fingerprint") == fingerprint:
            return Measured(**{key: kept[key] for key in _KEYS})
    remote = ray.remote(num_cpus=1, num_gpus=1 if gpu else 0)(_measure)
    try:
        measured = ray.get(remote.remote(held_out, architecture, weights))
    except RayTaskError as error:
        raise error.cause from None
    storage.write_bytes(uri, json.dumps({"fingerprint": fingerprint, **asdict(measured)}, indent=1).encode())
    return measured


def _measure(held_out: HeldOut, architecture: str | None, weights: str | None) -> Measured:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    precision = held_out.train.model.precision
    if precision == "auto":
        precision = "bf16" if device == "cuda" else "fp32"
    clip = load_clip(architecture, weights, precision=precision, device=device)
    accuracy, regions = _region_accuracy(clip, held_out)
    retention, images, unread = _retention(clip, held_out)
    return Measured(accuracy, regions, retention, images, unread)


def _region_accuracy(clip: Clip, held_out: HeldOut) -> tuple[float | None, int]:
    samples, config = held_out.samples(), held_out.train
    loader = validation_loader(
        samples,
        replace(config.data, loaders=0),
        clip.input,
        max_regions=config.validation.max_regions,
        batch_size=config.micro_batch_size or config.batch_size,
    )
    nouns_ND = embed_nouns(clip, samples.nouns, config.model.templates)
    found = validate(clip, cut_batches(loader, clip.device), nouns_ND)
    return (found.top1 if len(found.rows) else None), len(found.rows)


def _retention(clip: Clip, held_out: HeldOut) -> tuple[float | None, int, int]:
    """The share of whole images that are nearest to one of their nouns, how many there are, and how many cannot be
    read.
    """
    config, layout = held_out.train, Layout(held_out.train.dataset)
    vocabulary = read_columns(layout.vocabulary, ["noun", "phrase", "kept"]).to_pylist()
    nouns = [row["noun"] for row in vocabulary if row["kept"] and row["phrase"] is None]
    nouns_DN = embed_nouns(clip, nouns, config.model.templates).T.cpu().numpy()
    unread = right = count = 0

    def images() -> Iterator[tuple[np.ndarray, Masks, set[str]]]:
        nonlocal unread
        for pixels, named in _whole_images(held_out, layout, set(nouns)):
            if pixels is None:
                unread += 1
                continue
            yield pixels, Masks.encode(np.ones((1, *pixels.shape[:2]), bool)), named

    encoder = RegionEncoder(clip, RegionsConfig(), _WHOLE_IMAGES_PER_BATCH)
    for named, features_1D, _ in encoder.encode(images()):
        count += 1
        right += nouns[int((features_1D @ nouns_DN).argmax())] in named
    return (right / count if count else None), count, unread


def _whole_images(held_out: HeldOut, layout: Layout, known: set[str]) -> Iterator[tuple[np.ndarray | None, set[str]]]:
    """Pixels uint8 [H,W,3] of held-out images that have pairs, and the nouns of the vocabulary that their captions
    name; None in place of pixels that cannot be read.
    """
    everything = select_samples(held_out.train.dataset, replace(held_out.train.data, where=None, weight=None))
    # The key of a sample begins with the number of its shard and the index of its image there.
    keys = everything.table["key"].take(everything.held_out).to_pylist()
    places = sorted({(int(shard), int(index)) for shard, index, *_ in (key.split("-") for key in keys)})
    count = min(held_out.max_images, len(places))
    by_shard: dict[int, list[int]] = defaultdict(list)
    for place in np.arange(count) * len(places) // max(count, 1):
        shard, index = places[int(place)]
        by_shard[shard].append(index)
    for shard, indices in by_shard.items():
        rows = read_checked_table(layout.table("captions", shard)).to_pylist()
        wanted = [Image(index, rows[index]) for index in indices if index < len(rows)]
        for image, file in read_ahead(wanted, held_out.images):
            named = {noun["noun"] for noun in image.row["nouns"]} & known
            try:
                yield decode_jpeg(read_upright(file.result(), held_out.images).data), named
            except (ImageProblem, FileNotFoundError):
                yield None, named
