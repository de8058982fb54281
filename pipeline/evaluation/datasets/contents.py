"""The content of a data set's files: labels that were corrected under the same name are other labels."""

import hashlib
import json
from collections.abc import Sequence

from pipeline import storage
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.evaluation.datasets.protocol import SegmentationDataset
from pipeline.storage.in_threads import in_threads

Digests = dict[str, list[str]]
"""SHA-256 of the image file and of the label file (of several, of their digests), by image id."""

KINDS = ("image", "label")
FILES = "files.json"
"""The digests of all files of an evaluation, in its output directory."""


def file_digests(dataset: SegmentationDataset, image_ids: Sequence[str]) -> Digests:
    """Digests of every file of these images, each read once.

    Sizes and times would be cheaper, but times change by copying and sizes stay when a label is painted over.

    Raises:
        UserError: a file is missing.
        OSError: storage fails.
    """

    def digests(image_id: str) -> list[str]:
        image, *labels = (
            hashlib.sha256(dataset.files.content(path)).hexdigest() for path in dataset.paths_of(image_id)
        )
        return [image, labels[0] if len(labels) == 1 else hashlib.sha256("".join(labels).encode()).hexdigest()]

    return dict(zip(image_ids, in_threads(digests, image_ids), strict=True))


def summary(digests: Digests) -> dict[str, str]:
    """One digest of all image files and one of all label files, for the identity of an evaluation."""
    return {
        f"{kind}_files_sha256": hashlib.sha256("".join(found[index] for found in digests.values()).encode()).hexdigest()
        for index, kind in enumerate(KINDS)
    }


def read_digests(output: str) -> Digests:
    """The digests that an evaluation was begun with; empty if it has none, as in older versions.

    Raises:
        UserError: the file is damaged.
        OSError: storage cannot be read.
    """
    uri = storage.join(output, FILES)
    try:
        digests = json.loads(storage.read_bytes(uri))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        digests = None
    if not isinstance(digests, dict) or not all(
        isinstance(found, list) and len(found) == len(KINDS) for found in digests.values()
    ):
        raise UserError(f"{uri} is damaged; evaluate again with --overwrite, or in another output directory")
    return digests


def changed_images(before: Digests, now: Digests) -> list[str]:
    """The images that both know and of which a file has changed, in the order of `now`."""
    return [image for image, found in now.items() if image in before and before[image] != found]


def changes(before: Digests, now: Digests) -> str:
    """Which files of images that both know have changed, in words; empty if none has."""
    said = []
    for index, kind in enumerate(KINDS):
        changed = [image for image, found in now.items() if image in before and before[image][index] != found[index]]
        if changed:
            said.append(f"the {kind} files of {first_of(changed, 3)}")
    return " and ".join(said)
