"""COCO annotation files, instances or panoptic, indexed by image and not yet decoded.

The format: https://cocodataset.org/#format-data
"""

import hashlib
import json
from typing import Any

from pipeline import storage
from pipeline.errors import UserError
from pipeline.proposals.json_records import json_records

_KEY = "proposals.ground_truth.annotations"


class CocoFile:
    """Categories and image sizes of an annotation file, and its annotations still undecoded.

    Image ids are COCO's as strings: "257". Annotations of images that the file does not list are
    an error: their frame is unknown.

    Loading holds the file twice, as bytes and as text; what stays is the segmentations as JSON text.
    For a file of the size of instances_train2017.json, 448 MB, that is 950 MB and then 440 MB.
    """

    def __init__(self, uri: str) -> None:
        """Read the file.

        Raises:
            UserError: it cannot be read, is not JSON, or not a COCO instances or panoptic file.
        """
        self.uri = uri
        self.sizes: dict[str, tuple[int, int]] = {}
        """Height and width in pixels by image id."""
        self.categories: dict[int, str] = {}
        """Names by category id."""
        self.instances: dict[str, list[bytes]] = {}
        """By image id: per object the JSON list [id, category id, crowd, segmentation]."""
        self.panoptic: dict[str, bytes] = {}
        """By image id: the JSON list [PNG name, [[segment id, category id, crowd], …]]."""
        storage.check_readable(uri, _KEY)
        data = storage.read_bytes(uri)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._used_categories: set[int] = set()
        found = set()
        try:
            text = data.decode()
            del data
            for key, index, record in json_records(text):
                if key in ("images", "categories", "annotations"):
                    found.add(key)
                    self._add(key, record, f"{key}[{index}]")
        except UnicodeDecodeError as error:
            raise self.malformed(f"not UTF-8 text: {error.reason} at {error.start}") from error
        except json.JSONDecodeError as error:
            raise self.malformed(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
        except RecursionError as error:
            raise self.malformed("not a COCO annotation file: nested too deeply") from error
        if missing := [key for key in ("images", "annotations", "categories") if key not in found]:
            raise self.malformed(f"not COCO instances or panoptic annotations: no elements in {', '.join(missing)}")
        if self.instances and self.panoptic:
            raise self.malformed("a mixture of instance and panoptic annotations")
        unlisted = (self.instances.keys() | self.panoptic.keys()) - self.sizes.keys()
        if unlisted:
            raise self.malformed(
                f"annotating {len(unlisted)} images that it does not list under images, such as {min(unlisted)}"
            )
        if unnamed := self._used_categories - self.categories.keys():
            raise self.malformed(f"annotating with categories that it does not name: {', '.join(map(str, unnamed))}")

    def malformed(self, what: str) -> UserError:
        return UserError(f"{_KEY}: {self.uri} is {what}")

    def _add(self, key: str, record: Any, where: str) -> None:
        if not isinstance(record, dict):
            raise self.malformed(f"malformed: {where} is a {type(record).__name__}, not an object")
        try:
            if key == "images":
                height, width = record["height"], record["width"]
                if not (is_whole(height, 1) and is_whole(width, 1)):
                    raise self.malformed(f"malformed: {where} has the size {width!r}×{height!r}")
                self.sizes[str(record["id"])] = (height, width)
            elif key == "categories":
                self.categories[record["id"]] = str(record["name"])
            elif "segments_info" in record:
                segments = [
                    [part["id"], part["category_id"], bool(part.get("iscrowd"))] for part in record["segments_info"]
                ]
                self._used_categories.update(part["category_id"] for part in record["segments_info"])
                image = [str(record["file_name"]), segments]
                self.panoptic[str(record["image_id"])] = json.dumps(image).encode()
            else:
                item = [record["id"], record["category_id"], bool(record.get("iscrowd"))]
                item.append(record["segmentation"])
                self._used_categories.add(record["category_id"])
                self.instances.setdefault(str(record["image_id"]), []).append(
                    json.dumps(item, separators=(",", ":")).encode()
                )
        except (KeyError, TypeError) as error:
            # TypeError: a list or number where the format has an object, a list as an id.
            problem = f"no {error}" if isinstance(error, KeyError) else f"a wrong type: {error}"
            raise self.malformed(f"malformed: {where} has {problem}") from error


def is_whole(value: Any, least: int) -> bool:
    """Whether a JSON value is a whole number of at least `least` and of reasonable size."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**31
