"""The files of an unpacked distribution."""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.datasets.protocol import LabelledImage
from pipeline.images import ImageProblem, UprightPixels, open_image, turned, upright_pixels
from pipeline.images.pixels import pixels_in_place
from pipeline.storage.in_threads import in_threads

_ROOT_KEY = "dataset.root"
_LABEL_FORMATS = ("PNG", "TIFF")
_BITS_PER_SAMPLE = 258  # a tag of TIFF


@dataclass(frozen=True)
class Distribution:
    """Reads files below a directory. What is missing is an error that says where it comes from."""

    root: str
    source: str
    """The archives and the site they are loaded from."""

    def __post_init__(self) -> None:
        """Check the directory.

        Raises:
            UserError: there is none.
        """
        storage.check_readable(self.root, _ROOT_KEY)

    def uri(self, path: str) -> str:
        """The address of a path below the root; absolute addresses stay as they are."""
        return path if storage.is_absolute(path) else storage.join(self.root, path)

    def content(self, path: str) -> bytes:
        """A file's content.

        Raises:
            UserError: it is not there.
        """
        try:
            return storage.read_bytes(self.uri(path))
        except FileNotFoundError as error:
            raise self.missing(path) from error

    def lines(self, path: str) -> list[str]:
        """The lines of a text file that are not empty, stripped.

        Raises:
            UserError: it is not there, or not UTF-8.
        """
        try:
            text = self.content(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.uri(path)} is not UTF-8 text: {error.reason} at byte {error.start}") from error
        return [line.strip() for line in text.splitlines() if line.strip()]

    def names(self, folder: str, suffix: str | Sequence[str]) -> list[str]:
        """Names of the files with one of these suffixes in a directory, sorted.

        Hidden files are left out, such as the `._NAME` that a Mac lays beside every file.

        Raises:
            UserError: there are none.
        """
        suffixes = (suffix,) if isinstance(suffix, str) else tuple(suffix)
        names = [
            name
            for name in storage.list_names(self.uri(folder))
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
        if not names:
            raise self.missing(f"{folder}/*{suffixes[0]}")
        return names

    def numbered_names(self, path: str) -> dict[int, str]:
        """Names by their numbers from 1 on, of lines like "1: person"; a line of number 0 is left out.

        Raises:
            UserError: it is not there, damaged, or of other channels.
        """
        names = {}
        for line in self.lines(path):
            number, separator, name = line.partition(":")
            if not (number.strip().isdigit() and separator and name.strip()):
                raise UserError(f'{self.uri(path)} holds "{line}", expected are lines like "1: person"')
            names[int(number)] = name.strip()
        names.pop(0, None)
        return names

    def folder(self, *paths: str) -> str:
        """The first of these directories that is there.

        Raises:
            UserError: none is.
        """
        for path in paths:
            if storage.exists(self.uri(path)):
                return path
        raise self.missing(paths[0])

    def check(self, folder: str, names: Iterable[str]) -> None:
        """Raise UserError unless a directory holds all these files; a name may have folders in it."""
        by_folder: dict[str, set[str]] = defaultdict(set)
        for name in names:
            by_folder[posixpath.dirname(name)].add(name)
        folders = list(by_folder)
        uris = [self.uri(posixpath.join(folder, inner)) for inner in folders]
        absent: list[str] = []
        for inner, found in zip(folders, in_threads(storage.list_names, uris), strict=True):
            absent += by_folder[inner].difference(posixpath.join(inner, name) for name in found)
        if absent:
            more = f" with {len(absent) - 1} others" if len(absent) > 1 else ""
            raise self.missing(posixpath.join(folder, min(absent)), more)

    def sample(self, image_path: str, labels: np.ndarray, labels_path: str, as_stored: bool) -> LabelledImage:
        """An image with its labels, both upright. Arguments and errors as those of `upright_labels`."""
        picture = self.picture(image_path)
        return LabelledImage(
            picture.pixels, self.upright_labels(picture, image_path, labels, labels_path, as_stored=as_stored)
        )

    def upright_labels(
        self, picture: UprightPixels, image_path: str, labels: np.ndarray, labels_path: str, *, as_stored: bool
    ) -> np.ndarray:
        """The labels [H, W] of an image, turned as it was.

        Args:
            picture: the image, in `image_path`.
            labels: integers [H, W].
            as_stored: the labels follow the rows and columns of the stored image, whatever its EXIF orientation says;
                otherwise they do if only then their size fits.

        Raises:
            UserError: the sizes differ.
        """
        height, width = size = picture.pixels.shape[:2]
        stored = size[::-1] if picture.orientation >= 5 else size
        if labels.shape == stored and (as_stored or stored != size):
            labels = np.ascontiguousarray(turned(labels, picture.orientation))
        if labels.shape != size:
            swapped = size[::-1] == labels.shape
            raise UserError(
                f"{self.uri(labels_path)} is {labels.shape[1]}×{labels.shape[0]}, its image {self.uri(image_path)} is "
                f"{width}×{height}: labels must have the size of the image"
                + (" (was the image turned and lost its EXIF orientation?)" if swapped else "")
            )
        return labels

    def picture(self, path: str) -> UprightPixels:
        """An image, upright, at its own size: labels are of that size, so nothing is scaled or compressed.

        Raises:
            UserError: it is not there, or damaged.
        """
        data = self.content(path)
        try:
            return upright_pixels(data)
        except ImageProblem as error:
            raise self._damaged(path, error) from error

    def label_image(self, path: str) -> np.ndarray:
        """The values of an image with one channel, uint8 or uint16 [H, W]; of a palette image, the indices.

        As they are in the file: value 1 of 1, 2 or 4 bits is 1. An opaque alpha channel is passed over.

        Raises:
            UserError: it is not there, damaged, or of other channels.
        """
        data = self.content(path)
        image = self._decoded(path, data)
        values = _written(image, data)
        if values.ndim == 3 and values.shape[2] == 2 and values[..., 1].min() == 255:
            values = values[..., 0]
        if values.ndim == 2 and values.dtype.kind in "iu" and values.min() >= 0 and values.max() < 65536:
            # Pillow gives 16 bits as 32 in older versions, and in the byte order of the file.
            values = values.astype(np.uint8 if values.dtype == np.uint8 else np.uint16, copy=False)
        if values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
            channels = 1 if values.ndim == 2 else values.shape[2]
            raise UserError(
                f"{self.uri(path)} has channels: {channels} of {values.dtype}; a label image has one of 1 to 16 bits"
            )
        return values

    def colour_codes(self, path: str) -> np.ndarray:
        """The channels of an RGB image whose colours are numbers, int32 [H, W, 3].

        Raises:
            UserError: it is not there, damaged, or of other channels.
        """
        image = self._decoded(path, self.content(path))
        if image.mode not in ("RGB", "RGBA", "P"):
            raise UserError(f"{self.uri(path)} is not an RGB image, whose colours tell classes")
        return np.asarray(image.convert("RGB"), np.int32)

    def missing(self, path: str, more: str = "") -> UserError:
        """What to raise when a file or directory is not there."""
        return UserError(f"{_ROOT_KEY}: {self.uri(path)} is missing{more}. It is part of {self.source}")

    def colour_numbers(self, path: str) -> np.ndarray:
        """The numbers that the colours of an RGB image write, R + 256·G + 256²·B, int32 [H, W].

        Raises:
            UserError: as `colour_codes`.
        """
        image = self._decoded(path, self.content(path))
        if image.mode not in ("RGB", "RGBA", "P"):
            raise UserError(f"{self.uri(path)} is not an RGB image, whose colours tell segments")
        # Four bytes a pixel, as Pillow holds it, are one number as they are; the last byte is no colour.
        pixels_HW4 = pixels_in_place(image.convert("RGB") if image.mode == "P" else image)
        return pixels_HW4.view("<i4")[..., 0] & 0xFFFFFF

    def exists(self, path: str) -> bool:
        """Whether a file or directory below the root is there."""
        return storage.exists(self.uri(path))

    def _decoded(self, path: str, data: bytes) -> Image.Image:
        try:
            return open_image(data, _LABEL_FORMATS)
        except ImageProblem as error:
            raise self._damaged(path, error) from error

    def _damaged(self, path: str, error: Exception) -> UserError:
        return UserError(f"{self.uri(path)} is not a readable image ({error}); it is part of {self.source}")


def _written(image: Image.Image, data: bytes) -> np.ndarray:
    """The pixels of an image as numbers of its own bits: Pillow stretches grey of 2 and 4 bits to 0 to 255."""
    values = np.asarray(image)
    if image.mode not in ("1", "L"):
        return values
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))[0] if isinstance(image, TiffImageFile) else data[24]
    return values.astype(np.uint8) // (255 // (2**bits - 1) if bits in (2, 4) else 1)
