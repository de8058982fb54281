"""CLIP_benchmark's layout of any data set: tars below `SPLIT/`, and text files that say what is in them.

classnames.txt                          a class a line
zeroshot_classification_templates.txt   a template a line, {c} where the class name belongs
dataset_type.txt                        `retrieval`; absent or `classification`: the tars hold classes
test/nshards.txt                        how many tars there are
test/0.tar                              KEY.webp (png, jpg) with KEY.cls, a number, or KEY.txt, a caption a line
"""

from functools import partial

import numpy as np

from pipeline.captions.tar_samples import rows_of, samples_of
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.captioned import captioned_images
from pipeline.retention.sets.class_folders import check_unique, without_images
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import CaptionedImages, ClassifiedImages, File, Files
from pipeline.storage.in_threads import in_threads

_SOURCE = "what clip_benchmark_export_wds writes, or such a set of https://huggingface.co/clip-benchmark"
_TARS_AT_ONCE = 8
_MOST_SHARDS = 1_000_000


def open_webdataset(config: ImageSetConfig, key: str) -> ClassifiedImages | CaptionedImages:
    """Each tar is read through once, without its images.

    A sample without a picture, without a label or captions, or that is damaged is counted as unusable.

    Raises:
        UserError: a part is missing or malformed, or the images have several labels each.
    """
    files = Distribution(config.root, _SOURCE, key)
    split = config.split or "test"
    name = f"webdataset/{files.root.rstrip('/').rpartition('/')[2]}/{split}"
    kind = files.text("dataset_type.txt").strip().lower() if files.exists("dataset_type.txt") else "classification"
    if kind not in ("classification", "retrieval"):
        raise UserError(f"{files.uri('dataset_type.txt')} says {kind!r:.80}; classification and retrieval are measured")
    tars = [files.uri(f"{split}/{number}.tar") for number in range(_shards(files, split))]
    rows = _rows(tars, "txt" if kind == "retrieval" else "cls")
    if kind == "retrieval":
        for row in rows:
            row["captions"] = [caption for text in row["captions"] for caption in text.splitlines()]
        return captioned_images(name, rows)
    return _classified(files, name, rows)


def _shards(files: Distribution, split: str) -> int:
    path = f"{split}/nshards.txt"
    text = files.text(path).strip()
    if not text.isdecimal() or not 0 < int(text[:8]) <= _MOST_SHARDS:
        raise files.malformed(path, f"holds {text[:80]!r}, not how many tars there are")
    count = int(text)
    files.first(f"{split}/{count - 1}.tar")
    return count


def _rows(tars: list[str], extension: str) -> list[dict]:
    """A listing of all samples, in their order; keys are told apart by the number of their tar."""
    rows = []
    for number, found in enumerate(in_threads(partial(_tar_rows, extension=extension), tars, _TARS_AT_ONCE)):
        rows += [row | {"image_id": f"{number}/{row['image_id']}"} for row in found]
    return rows


def _tar_rows(tar: str, extension: str) -> list[dict]:
    rows: list[dict] = []
    for sample in samples_of(tar, extension):
        if sample is None:
            rows.append({"image_id": "", "image_uri": tar, "captions": [], "problem": "truncated_tar"})
        else:
            rows += rows_of(sample, tar, extension)
    return rows


def _classified(files: Distribution, name: str, rows: list[dict]) -> ClassifiedImages:
    classes = files.lines("classnames.txt")
    check_unique(classes, files.key, files.uri("classnames.txt"))
    path = "zeroshot_classification_templates.txt"
    templates = [line.replace("{c}", "{}") for line in files.lines(path)]
    if not templates or any(template.count("{}") != 1 for template in templates):
        raise files.malformed(path, "has lines without one {c}, where the class name belongs")
    labels, found = [], []
    for row in rows:
        text = row["captions"][0].strip() if row["captions"] else ""
        label = int(text) if text.isdecimal() and len(text) < 9 else -1
        problem = row.get("problem")
        if not 0 <= label < len(classes):
            problem = {"no_text": "no_label", None: "bad_label"}.get(problem, problem)
        labels.append(max(label, 0) if problem else label)
        found.append(File(row["image_uri"], row.get("byte_offset"), row.get("byte_length"), problem))
    counts = np.bincount(
        [label for label, file in zip(labels, found, strict=True) if not file.problem], minlength=len(classes)
    )
    empty = [classes[label] for label in np.flatnonzero(counts == 0)]
    return ClassifiedImages(
        name=name,
        image_ids=[row["image_id"] for row in rows],
        pictures=Files(found),
        notes=without_images(empty, len(classes)),
        labels=np.array(labels, np.int64),
        classes=classes,
        templates=templates,
    )
