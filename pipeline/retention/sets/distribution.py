"""The files of an unpacked distribution of whole images."""

from dataclasses import dataclass

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.patterns import IMAGE_EXTENSIONS

_SUFFIXES = tuple(f".{extension}" for extension in IMAGE_EXTENSIONS)


@dataclass(frozen=True)
class Distribution:
    """Reads lists below a directory. What is missing is an error that says where it comes from."""

    root: str
    source: str
    """The archives and the site they are loaded from."""
    key: str
    """The configuration key of the set, for messages: `dataset`, `retention.sets[0]`."""

    def __post_init__(self) -> None:
        """Check the directory.

        Raises:
            UserError: there is none.
        """
        storage.check_readable(self.root, f"{self.key}.root")

    def uri(self, path: str) -> str:
        """The address of a path below the root; absolute addresses stay as they are."""
        return path if storage.is_absolute(path) else storage.join(self.root, path)

    def exists(self, path: str) -> bool:
        """Whether a file or directory is there."""
        return storage.exists(self.uri(path))

    def first(self, *paths: str) -> str:
        """The first of these files or directories that is there.

        Raises:
            UserError: none is.
        """
        for path in paths:
            if self.exists(path):
                return path
        raise self.missing(" and ".join(paths))

    def content(self, path: str) -> bytes:
        """A file's content.

        Raises:
            UserError: it is not there.
        """
        try:
            return storage.read_bytes(self.uri(path))
        except (FileNotFoundError, IsADirectoryError):
            raise self.missing(path) from None

    def text(self, path: str) -> str:
        """A text file.

        Raises:
            UserError: it is not there, or not UTF-8.
        """
        try:
            return self.content(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.uri(path)} is not UTF-8 text: {error.reason} at byte {error.start}") from error

    def lines(self, path: str) -> list[str]:
        """The lines of a text file that are not empty, stripped.

        Raises:
            UserError: as `text`.
        """
        return [line.strip() for line in self.text(path).splitlines() if line.strip()]

    def folders(self, folder: str = "") -> list[str]:
        """Names of the directories in a directory, sorted; hidden ones are left out."""
        names = storage.list_folders(self.uri(folder) if folder else self.root)
        return [name for name in names if not name.startswith(".")]

    def images(self, folder: str) -> list[str]:
        """Names of the images in a directory, sorted; hidden files are left out."""
        return [name for name in storage.list_names(self.uri(folder)) if is_image(name) and not name.startswith(".")]

    def missing(self, what: str) -> UserError:
        """What to raise when a file or directory is not there."""
        return UserError(f"{self.key}.root: {self.root} holds no {what}. It is part of {self.source}")

    def malformed(self, path: str, found: str) -> UserError:
        """What to raise when a file is not what the distribution has there."""
        return UserError(f"{self.uri(path)} {found}. It is part of {self.source}")


def is_image(name: str) -> bool:
    """Whether a name has the suffix of an image."""
    return name.lower().endswith(_SUFFIXES)
