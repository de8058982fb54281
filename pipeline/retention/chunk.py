"""A few whole images measured together: the unit of work, of retry and of resumption."""

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import torch

import schemas
from pipeline import storage
from pipeline.clip import Clip
from pipeline.retention.classification import classify
from pipeline.retention.config import Task
from pipeline.retention.encoding import Encoded, encode_images
from pipeline.retention.retrieval import embed_captions
from pipeline.retention.sets import CaptionedImages, ClassifiedImages

TABLES: dict[Task, tuple[str, ...]] = {"classification": ("images",), "retrieval": ("captions", "images")}
"""Folders of the tables of a chunk; the last one is written last, and its presence says that the chunk is done."""


def chunk_uri(output: str, table: str, chunk: int) -> str:
    """Where a table of a chunk lies."""
    return storage.join(output, table, f"{chunk:06d}.parquet")


def measure_chunk(
    clip: Clip,
    images: ClassifiedImages | CaptionedImages,
    indices: Sequence[int],
    classes_CD: Callable[[], torch.Tensor],
    *,
    batch_size: int,
    readers: int,
) -> dict[str, pa.Table]:
    """The tables of a chunk, by name.

    Args:
        indices: places of the images in the set.
        classes_CD: gives the embeddings of the classes, of images that have classes.
        batch_size, readers: as of `encode_images`.

    Raises:
        UserError: CLIP's embeddings are not numbers.
        OSError: storage failed.
    """
    encoded = encode_images(clip, images, indices, batch_size=batch_size, readers=readers)
    if isinstance(images, ClassifiedImages):
        return {"images": _classified(images, np.asarray(indices), encoded, classes_CD())}
    return _retrieved(clip, images, np.asarray(indices), encoded)


def _columns(images: ClassifiedImages | CaptionedImages, indices: np.ndarray, encoded: Encoded) -> dict[str, pa.Array]:
    return {
        "index": pa.array(indices, pa.int64()),
        "image_id": pa.array([images.image_ids[index] for index in indices], pa.string()),
        "sha256": pa.array(encoded.sha256, pa.string()),
        "problem": pa.array(encoded.problems, pa.string()),
    }


def _classified(images: ClassifiedImages, indices: np.ndarray, encoded: Encoded, classes_CD: torch.Tensor) -> pa.Table:
    labels = images.labels[indices]
    found = classify(encoded.features, classes_CD, labels[encoded.usable])
    columns = _columns(images, indices, encoded) | {"label": pa.array(labels.astype(np.int32))}
    for name, values in (("nearest", found.nearest), ("rank", found.rank)):
        filled = np.zeros(len(indices), np.int32)
        filled[encoded.usable] = values
        columns[name] = pa.array(filled, mask=~encoded.usable)
    return pa.table([columns[name] for name in schemas.CLASSIFIED_IMAGES.names], schema=schemas.CLASSIFIED_IMAGES)


def _retrieved(clip: Clip, images: CaptionedImages, indices: np.ndarray, encoded: Encoded) -> dict[str, pa.Table]:
    columns = _columns(images, indices, encoded)
    features = iter(encoded.features.numpy())
    columns["features"] = pa.array([next(features) if usable else None for usable in encoded.usable], _FEATURES)
    captions = [(index, caption) for index in indices[encoded.usable] for caption in images.captions[index]]
    texts = [caption for _, caption in captions]
    return {
        "images": pa.table([columns[name] for name in schemas.RETRIEVAL_IMAGES.names], schema=schemas.RETRIEVAL_IMAGES),
        "captions": pa.table(
            [
                pa.array([index for index, _ in captions], pa.int64()),
                pa.array(texts, pa.string()),
                pa.array(list(embed_captions(clip, texts).numpy()), _FEATURES),
            ],
            schema=schemas.RETRIEVAL_CAPTIONS,
        ),
    }


_FEATURES = pa.list_(pa.float32())
