"""The files of an unpacked distribution."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline import storage
from pipeline.errors import UserError
from pipeline.evaluation.datasets.dataset import Sample
from pipeline.images import ImageProblem, open_image, read_pixels

_ROOT_KEY = "dataset.root"


@dataclass(frozen=True)
class Distribution:
    """Reads files below a directory. What is missing is an error that says where it comes from."""

    root: str
    source: str
    """The archives and the site they are loaded from."""

    def __post_init__(self) -> None:
        """Raises UserError if there is no such directory."""
        storage.check_readable(self.root, _ROOT_KEY)

    def uri(self, path: str) -> str:
        """The address of a path below the root; absolute addresses stay as they are."""
        return path if storage.is_absolute(path) else storage.join(self.root, path)

    def content(self, path: str) -> bytes:
        """A file's content. Raises UserError if it is not there."""
        try:
            return storage.read_bytes(self.uri(path))
        except FileNotFoundError as error:
            raise self.missing(path) from error

    def lines(self, path: str) -> list[str]:
        """The lines of a text file that are not empty, stripped. Raises UserError."""
        try:
            text = self.content(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.uri(path)} is not UTF-8 text: {error.reason} at byte {error.start}") from error
        return [line.strip() for line in text.splitlines() if line.strip()]

    def names(self, folder: str, suffix: str | Sequence[str]) -> list[str]:
        """Names of the files with one of these suffixes in a directory, sorted. Raises UserError if there are none."""
        suffixes = (suffix,) if isinstance(suffix, str) else tuple(suffix)
        names = [name for name in storage.list_names(self.uri(folder)) if name.lower().endswith(suffixes)]
        if not names:
            raise self.missing(f"{folder}/*{suffixes[0]}")
        return names

    def numbered_names(self, path: str) -> dict[int, str]:
        """Names by their numbers from 1 on, of lines like "1: person"; a line of number 0 is left out.

        Raises UserError.
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
        """The first of these directories that is there. Raises UserError if none is."""
        for path in paths:
            if storage.exists(self.uri(path)):
                return path
        raise self.missing(paths[0])

    def check(self, folder: str, names: Iterable[str]) -> None:
        """Raise UserError unless a directory holds all these files."""
        if absent := sorted(set(names).difference(storage.list_names(self.uri(folder)))):
            more = f" with {len(absent) - 1} others" if len(absent) > 1 else ""
            raise self.missing(f"{folder}/{absent[0]}", more)

    def sample(self, image_path: str, labels: np.ndarray, labels_path: str) -> Sample:
        """An image with its labels, uint16 [H, W]. Raises UserError if the sizes differ."""
        image = self.image(image_path)
        if image.shape[:2] != labels.shape:
            turned = image.shape[1::-1] == labels.shape
            raise UserError(
                f"{self.uri(labels_path)} is {labels.shape[1]}×{labels.shape[0]}, its image {self.uri(image_path)} is "
                f"{image.shape[1]}×{image.shape[0]}: labels must have the size of the image as it is stored"
                + (" (is the image turned by its EXIF orientation? save it upright)" if turned else "")
            )
        return Sample(image, labels)

    def image(self, path: str) -> np.ndarray:
        """An image as stored, uint8 [H, W, 3] RGB. Raises UserError."""
        data = self.content(path)
        try:
            return read_pixels(data)
        except ImageProblem as error:
            raise self._damaged(path, error) from error

    def label_image(self, path: str) -> np.ndarray:
        """The values of an image with one channel, uint8 or uint16 [H, W]; of a palette image, the indices.

        Raises UserError.
        """
        values = self._pixels(path)
        if values.ndim == 2 and values.dtype == np.int32 and values.min() >= 0 and values.max() < 65536:
            values = values.astype(np.uint16)  # how older versions of Pillow give 16 bits
        if values.ndim != 2 or values.dtype not in (np.uint8, np.uint16):
            channels = 1 if values.ndim == 2 else values.shape[2]
            raise UserError(
                f"{self.uri(path)} has channels: {channels} of {values.dtype}; a label image has one of 8 or 16 bits"
            )
        return values

    def colour_codes(self, path: str) -> np.ndarray:
        """The channels of an RGB image whose colours are numbers, int32 [H, W, 3]. Raises UserError."""
        values = self._pixels(path)
        if values.ndim != 3 or values.dtype != np.uint8 or values.shape[2] < 3:
            raise UserError(f"{self.uri(path)} is not an RGB image, whose colours tell classes")
        return values[:, :, :3].astype(np.int32)

    def missing(self, path: str, more: str = "") -> UserError:
        """What to raise when a file or directory is not there."""
        return UserError(f"{_ROOT_KEY}: {self.uri(path)} is missing{more}. It is part of {self.source}")

    def _pixels(self, path: str) -> np.ndarray:
        data = self.content(path)
        try:
            image = open_image(data)
        except ImageProblem as error:
            raise self._damaged(path, error) from error
        return np.asarray(image.convert("L") if image.mode == "1" else image)

    def _damaged(self, path: str, error: Exception) -> UserError:
        return UserError(f"{self.uri(path)} is not a readable image ({error}); it is part of {self.source}")
