"""COCO annotation files, instances or panoptic, indexed by image and not yet decoded.

The format: https://cocodataset.org/#format-data. What people's programs write differs from it in many ways, so what
can be read is read, and what cannot costs itself: see `LeftOut`.
"""

import gzip
import hashlib
import json
import posixpath
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline import storage
from pipeline.captions.addresses import is_inner
from pipeline.errors import UserError
from pipeline.proposals.coco_segmentations import frame, read_segmentation
from pipeline.proposals.coco_values import flag, identifier, pixels, whole
from pipeline.proposals.json_records import json_records

_KEY = "proposals.options.annotations"
_KEYS = ("images", "annotations", "categories")


@dataclass
class LeftOut:
    """What of a file is not used, for one reason."""

    count: int
    example: str


class CocoFile:
    """Categories and image sizes of an annotation file, and its annotations still undecoded.

    Ids are COCO's as strings: "257".

    Loading holds the file twice, as bytes and as text; what stays is the segmentations as JSON text.
    For a file of the size of instances_train2017.json, 448 MB, that is 950 MB and then 440 MB.
    """

    def __init__(self, uri: str) -> None:
        """Read the file.

        Raises:
            UserError: it cannot be read, is not JSON, or not a COCO instances or panoptic file.
        """
        self.uri = uri
        self.sizes: dict[str, tuple[int, int] | None] = {}
        """Height and width in pixels by image id; None where the file does not know them."""
        self.ids_by_name: dict[str, str | None] = {}
        """Image ids by `file_name`, with and without suffix, also with slashes for backslashes; None for a name that
        several images have."""
        self.categories: dict[str, str] = {}
        """Names by category id."""
        self.instances: dict[str, list[bytes]] = {}
        """By image id: per object the JSON list [category id, crowd, what `read_segmentation` returns]."""
        self.unsized: dict[str, list[bytes]] = {}
        """By id of an image whose size the file does not know: per object the JSON list [record, place in the file]."""
        self.panoptic: dict[str, bytes] = {}
        """By image id: the JSON list [PNG name, [[segment id, category id, crowd], …]]."""
        self.objects = self.crowds = 0
        """Objects with a mask, and how many of them are crowds."""
        self.left_out: dict[str, LeftOut] = {}
        """By what is wrong with them, in words that follow a number: "have a damaged run-length code"."""
        self.damaged: dict[str, str] = {}
        """By image id: what is wrong with its first damaged object."""
        self.contradictory: dict[str, str] = {}
        """By image id: why nothing can be said of this image at all, as it stands in the file twice."""
        storage.check_readable(uri, _KEY)
        data = storage.read_bytes(uri)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._names: dict[str, str] = {}
        self._used: set[str] = set()
        self._complete = False  # all categories are known
        self._late: list[bytes] = []
        text = self._text(data)
        del data
        self._index(text)
        if self.instances and self.panoptic:
            raise self.malformed("a mixture of instance and panoptic annotations")
        self._leave_out_unnamed()
        self._complete = True

    def adopt_size(self, image: str, height: int, width: int) -> None:
        """Read the objects of an image whose size the file does not know, now that its picture has told it."""
        self.sizes[image] = height, width
        for item in self.unsized.pop(image, ()):
            record, where = json.loads(item)
            self._add_annotation(record, where, last=True)

    def malformed(self, what: str) -> UserError:
        """The error to raise, with the key and the file; `what` continues "this file is …"."""
        return UserError(f"{_KEY}: {self.uri} is {what}")

    def _text(self, data: bytes) -> str:
        try:
            if data[:2] == b"\x1f\x8b":
                data = gzip.decompress(data)
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.malformed(f"not UTF-8 text: {error.reason} at {error.start}") from error
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise self.malformed(f"not a whole gzip file: {error}") from error

    def _index(self, text: str) -> None:
        if text[:1000].lstrip().startswith("["):
            raise self.malformed("a JSON list, not an object with images, annotations and categories")
        found: Counter[str] = Counter()
        try:
            for key, index, record in json_records(text):
                if key in _KEYS:
                    found[key] += 1
                    self._add(key, record, f"{key}[{index}]")
        except json.JSONDecodeError as error:
            raise self.malformed(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
        except RecursionError as error:
            raise self.malformed("not a COCO annotation file: nested too deeply") from error
        if missing := [key for key in ("images", "annotations", "categories") if not found[key]]:
            raise self.malformed(f"not COCO instances or panoptic annotations: no elements in {', '.join(missing)}")
        if not self.sizes:
            raise self.malformed(f"listing no image that has an id: {self._examples()}")
        for item in self._late:
            self._adopt_frame(json.loads(item)[0])
        for item in self._late:
            record, where = json.loads(item)
            self._add_annotation(record, where, last=True)
        self._late.clear()

    def _add(self, key: str, record: Any, where: str) -> None:
        if not isinstance(record, dict):
            self._leave_out(f"of {key} are no objects", f"{where} is a {type(record).__name__}")
        elif key == "images":
            self._add_image(record, where)
        elif key == "categories":
            self._add_category(record, where)
        else:
            self._add_annotation(record, where)

    def _add_image(self, record: dict, where: str) -> None:
        image = identifier(record.get("id"))
        if image is None:
            self._leave_out("of images have no id", where)
            return
        height, width = pixels(record.get("height")), pixels(record.get("width"))
        size = (height, width) if height and width else None
        name = record.get("file_name")
        if image in self.sizes:
            if (self.sizes[image], self._names.get(image)) != (size, name):
                self.contradictory[image] = f"{self.uri} lists it twice, differently ({where})"
                self._leave_out("of images have the id of another image", f"{where} with id {image}")
            return
        self.sizes[image] = size
        if isinstance(name, str):
            self._names[image] = name
            slashed = name.replace("\\", "/")
            for known in {name, posixpath.splitext(name)[0], slashed, posixpath.splitext(slashed)[0]}:
                self.ids_by_name[known] = image if self.ids_by_name.get(known, image) == image else None

    def _add_category(self, record: dict, where: str) -> None:
        category = identifier(record.get("id"))
        name = record.get("name")
        if category is None or name is None or isinstance(name, list | dict):
            self._leave_out("of categories have no id or no name", where)
            return
        other = self.categories.setdefault(category, str(name))
        if other != str(name):
            raise self.malformed(
                f"calling category {category} both {other!r} and {str(name)!r}; give each category an id of its own"
            )

    def _add_annotation(self, record: dict, where: str, last: bool = False) -> None:
        """Index an annotation; until the `last` time, wait where the size of its image is not known (yet)."""
        image = identifier(record.get("image_id"))
        if image is not None and not last and self.sizes.get(image) is None:
            self._late.append(json.dumps([record, where], separators=(",", ":")).encode())
            return
        named = identifier(record.get("id"))
        what = f"{where if named is None else f'annotation {named}'} of image {record.get('image_id')!r:.80}"
        if image is None:
            self._leave_out("of annotations have no image_id", what)
        elif image not in self.sizes:
            self._leave_out("of annotations are of images that the file does not list", what)
        elif "segments_info" in record:
            self._add_panoptic(image, record, what)
        elif "caption" in record and "category_id" not in record:
            raise self.malformed(f"malformed: {where} has no 'category_id': these are captions, not instances")
        else:
            self._add_instance(image, record, where, what)

    def _add_instance(self, image: str, record: dict, where: str, what: str) -> None:
        category, crowd = identifier(record.get("category_id")), flag(record.get("iscrowd"))
        try:
            if not record.get("segmentation"):
                self._leave_out("of annotations have no mask", what)
                return
            if category is None:
                raise ValueError("have no category")
            if self._complete and category not in self.categories:
                raise ValueError("have a category that the file does not name")
            if crowd is None:
                raise ValueError("have an iscrowd that is neither 0 nor 1")
            size = self.sizes[image]
            if size is None:
                self.unsized.setdefault(image, []).append(json.dumps([record, where], separators=(",", ":")).encode())
                return
            segmentation = read_segmentation(record["segmentation"], *size)
        except ValueError as error:
            self._leave_out(f"of annotations {error}", what)
            self.damaged.setdefault(image, f"{what} in {self.uri}: one of those that {error}")
            return
        if segmentation is None:
            self._leave_out("of annotations have no mask", what)
            return
        self._count(category, crowd)
        item = json.dumps([category, crowd, segmentation], separators=(",", ":")).encode()
        self.instances.setdefault(image, []).append(item)

    def _add_panoptic(self, image: str, record: dict, what: str) -> None:
        name, parts = record.get("file_name"), record["segments_info"]
        if not isinstance(name, str) or not is_inner(name) or not isinstance(parts, list):
            why = "have no file_name below the folder of the PNGs, or no list of segments"
            self._leave_out(f"of annotations {why}", what)
            self.damaged.setdefault(image, f"{what} in {self.uri}: one of those that {why}")
            return
        segments = []
        for part in parts:
            part = part if isinstance(part, dict) else {}
            segment, category = whole(part.get("id")), identifier(part.get("category_id"))
            crowd = flag(part.get("iscrowd"))
            if segment is None or category is None or crowd is None:
                self._leave_out("segments have an id, category or iscrowd that cannot be read", f"one in {what}")
                self.damaged.setdefault(image, f"{what} in {self.uri} has a segment that cannot be read")
                continue
            self._count(category, crowd)
            segments.append([segment, category, crowd])
        item = json.dumps([name, segments]).encode()
        if self.panoptic.setdefault(image, item) != item:
            self.contradictory[image] = f"{self.uri} annotates it twice, differently ({what})"
            self._leave_out("of annotations are of an image that has another", what)

    def _count(self, category: str, crowd: bool) -> None:
        self._used.add(category)
        self.objects += 1
        self.crowds += crowd

    def _leave_out_unnamed(self) -> None:
        """Objects of categories that the file does not name. Most files name them after the annotations."""
        unnamed = self._used - self.categories.keys()
        if unnamed and not self._used & self.categories.keys():
            named = ", ".join(sorted(unnamed)[:10])
            raise self.malformed(f"annotating with categories that it does not name: {named}")
        if not unnamed:
            return
        for image, items in self.instances.items():
            objects = [json.loads(item) for item in items]
            self.instances[image] = [
                item for item, found in zip(items, objects, strict=True) if self._is_named(image, found[0], found[1])
            ]
        for image, item in self.panoptic.items():
            name, segments = json.loads(item)
            segments = [found for found in segments if self._is_named(image, found[1], found[2])]
            self.panoptic[image] = json.dumps([name, segments]).encode()

    def _is_named(self, image: str, category: str, crowd: bool) -> bool:
        if category in self.categories:
            return True
        self.objects -= 1
        self.crowds -= crowd
        why = f"category {category} has no name in {self.uri}"
        self._leave_out("of annotations have a category that the file does not name", f"image {image}: {why}")
        self.damaged.setdefault(image, why)
        return False

    def _adopt_frame(self, record: dict) -> None:
        """Take the size of an image that the file does not know from a run-length code."""
        image = identifier(record.get("image_id"))
        if image in self.sizes and self.sizes[image] is None:
            self.sizes[image] = frame(record.get("segmentation"))

    def _leave_out(self, why: str, example: str) -> None:
        self.left_out.setdefault(why, LeftOut(0, example)).count += 1

    def _examples(self) -> str:
        return "; ".join(f"{found.count} {why}, such as {found.example}" for why, found in self.left_out.items())

    def check(self, crowd: bool) -> str | None:
        """What to tell the user of a file that can be used, if anything.

        Args:
            crowd: regions marked `iscrowd` are used, too.

        Raises:
            UserError: no image of the file has a mask that can be used.
        """
        left_out = self._examples()
        unsized = sum(map(len, self.unsized.values()))
        if self.objects and not unsized and self.objects == self.crowds and not crowd:
            raise UserError(
                f"{_KEY}: all {self.objects} annotations with a mask in {self.uri} are marked iscrowd, and crowds are "
                "left out; set proposals.options.crowd to true to use them"
            )
        if not self.objects and not unsized:
            raise UserError(f"{_KEY}: {self.uri} has no mask that can be used: {left_out or 'no objects'}")
        said = [f"of {self.uri} is left out: {left_out}"] if left_out else []
        if unsized:
            such = f"{len(self.unsized)} images, such as {min(self.unsized)}, which their pictures tell"
            said.append(f"{self.uri} does not say the size of {such}")
        return f"{_KEY}: {'; '.join(said)}" if said else None
