"""CIFAR-10 and CIFAR-100, the Python version: pickles of pixels and labels.

The templates are the 18 that CLIP's published figures are made with (Radford et al. 2021, and their prompts).
"""

import io

import numpy as np

from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import ClassifiedImages, Pixels
from pipeline.weights.pickles import load_pickle

_SITE = "https://www.cs.toronto.edu/~kriz/cifar.html"
_SIDE = 32

TEMPLATES = [
    f"a {kind}photo of {article} {size}{{}}."
    for article in ("a", "the")
    for kind, size in (
        ("", ""),
        ("blurry ", ""),
        ("black and white ", ""),
        ("low contrast ", ""),
        ("high contrast ", ""),
        ("bad ", ""),
        ("good ", ""),
        ("", "small "),
        ("", "big "),
    )
]


def open_cifar_10(config: ImageSetConfig, key: str) -> ClassifiedImages:
    """`cifar-10-batches-py`, or the directory that holds it.

    Raises:
        UserError: a part is missing, or malformed.
    """
    files = Distribution(config.root, f"cifar-10-python.tar.gz ({_SITE})", key)
    batches = {"test": ["test_batch"], "train": [f"data_batch_{number}" for number in range(1, 6)]}
    return _open(files, config, "cifar-10-batches-py", batches, "batches.meta", b"label_names", b"labels")


def open_cifar_100(config: ImageSetConfig, key: str) -> ClassifiedImages:
    """`cifar-100-python`, or the directory that holds it; the 100 fine classes.

    Raises:
        UserError: a part is missing, or malformed.
    """
    files = Distribution(config.root, f"cifar-100-python.tar.gz ({_SITE})", key)
    batches = {"test": ["test"], "train": ["train"]}
    return _open(files, config, "cifar-100-python", batches, "meta", b"fine_label_names", b"fine_labels")


def _open(
    files: Distribution,
    config: ImageSetConfig,
    folder: str,
    batches: dict[str, list[str]],
    meta: str,
    names_key: bytes,
    labels_key: bytes,
) -> ClassifiedImages:
    split = config.split or "test"
    if split not in batches:
        raise UserError(f"{files.key}.split: {config.kind} has {' and '.join(batches)}, not {split}")
    below = "" if files.exists(meta) else f"{folder}/"
    found = [_read(files, below + batch) for batch in batches[split]]
    path = below + batches[split][0]
    try:
        # "beaver", "aquarium_fish"
        classes = [bytes(name).decode().replace("_", " ") for name in _read(files, below + meta)[names_key]]
        images_NC = np.concatenate([np.asarray(batch[b"data"], np.uint8) for batch in found])
        labels = np.concatenate([np.asarray(batch[labels_key], np.int64) for batch in found])
        images_NHW3 = images_NC.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1)
        whole = len(images_NHW3) == len(labels) and labels.min() >= 0 and labels.max() < len(classes)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise files.malformed(path, f"holds no images with labels ({type(error).__name__}: {error})") from error
    if not whole:
        raise files.malformed(
            path, f"holds {len(images_NHW3)} images, and {len(labels)} labels of {len(classes)} classes"
        )
    return ClassifiedImages(
        name=f"{config.kind}/{split}",
        image_ids=[f"{number:05d}" for number in range(len(labels))],
        pictures=Pixels(images_NHW3),
        notes=(),
        labels=labels,
        classes=classes,
        templates=TEMPLATES,
    )


def _read(files: Distribution, path: str) -> dict:
    content = files.content(path)
    try:
        found = load_pickle(io.BytesIO(content), encoding="bytes")
    except Exception as error:  # in a file that is no pickle the unpickler fails in many ways
        raise files.malformed(path, f"is no pickle of arrays and lists ({error})") from error
    if not isinstance(found, dict):
        raise files.malformed(path, f"holds a {type(found).__name__}, not a dictionary")
    return found
