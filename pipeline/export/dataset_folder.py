"""Where a dataset for `datasets` is written: a folder on any storage, or a repository on the Hugging Face hub."""

import threading
from pathlib import Path

from pipeline import storage
from pipeline.configuration.paths import refuse_secrets
from pipeline.errors import UserError
from pipeline.storage.hub_errors import is_on_the_hub
from pipeline.storage.hub_repository import HubRepository, hub_address

# The hub asks for commits of up to 100 files, and takes some hundred commits an hour.
_FILES_OF_COMMIT = 100
_BYTES_OF_COMMIT = 4 * 2**30
_FILES_IN_FOLDER = 10_000

_DATA, _CARD = "data", "README.md"


class StorageFolder:
    """A folder; every file is there, whole, when `put` returns."""

    def __init__(self, to: str):
        """
        Raises:
            UserError: it cannot be written.
        """
        storage.check_writable(to, "--to")
        self._to = to
        self.described = to
        """For people."""
        self.load = repr(to)
        """The arguments of `datasets.load_dataset`."""
        self.name = "FOLDER"
        """How the card calls it."""

    def clean(self) -> None:
        """Delete what a killed export left half written."""
        storage.remove_leftovers(self.uri())

    def uri(self, *name: str) -> str:
        """The address of a file of the data, or of their folder."""
        return storage.join(self._to, _DATA, *name)

    def names(self) -> set[str]:
        """The files of the data."""
        return set(storage.list_names(self.uri()))

    def has_card(self) -> bool:
        """Whether there is a card."""
        return storage.exists(storage.join(self._to, _CARD))

    def put(self, name: str, file: Path) -> None:
        """Add a file of the data, which is deleted when it is there; threads may call this."""
        storage.upload(file, self.uri(name))
        file.unlink()

    def finish(self, card: str) -> None:
        """Write the card."""
        storage.write_bytes(storage.join(self._to, _CARD), card.encode())


class HubFolder:
    """A dataset on the hub. Files gather on the local disk until there are enough of them for a commit."""

    def __init__(self, to: str, private: bool | None):
        """
        Args:
            to: hf://datasets/ORG/NAME[@BRANCH].
            private: as `HubRepository`.

        Raises:
            UserError, OSError: as `HubRepository`.
        """
        address = hub_address(to, "dataset", "--to")
        self._repository = HubRepository(address, "--to", private)
        self._files = self._repository.files()
        self._from = self._repository.uri
        self._waiting: dict[str, Path | bytes] = {}
        self._bytes = 0
        self._lock = threading.Lock()
        self.described = f"{self._repository.page} ({'private' if self._repository.private else 'public'})"
        branch = "" if address.branch == "main" else f", revision={address.branch!r}"
        self.load = f"{address.repository!r}{branch}"
        self.name = address.repository

    def clean(self) -> None:
        """Nothing: the hub shows whole commits."""

    def uri(self, *name: str) -> str:
        """As `StorageFolder.uri`: of what was there when this began."""
        return storage.join(self._from, _DATA, *name)

    def names(self) -> set[str]:
        """The files of the data."""
        return {name.removeprefix(f"{_DATA}/") for name in self._files if name.startswith(f"{_DATA}/")}

    def has_card(self) -> bool:
        """Whether there is a card."""
        return _CARD in self._files

    def put(self, name: str, file: Path) -> None:
        """As `StorageFolder.put`; it is on the hub with the next commit.

        Raises:
            UserError, OSError: as `HubRepository.commit`.
        """
        with self._lock:
            self._waiting[f"{_DATA}/{name}"] = file
            self._bytes += file.stat().st_size
            if len(self._waiting) >= _FILES_OF_COMMIT or self._bytes >= _BYTES_OF_COMMIT:
                self._commit()

    def finish(self, card: str) -> None:
        """Upload what still waits, with the card.

        Raises:
            UserError, OSError: as `HubRepository.commit`.
        """
        self._waiting[_CARD] = card.encode()
        self._commit()

    def _commit(self) -> None:
        self._repository.commit(self._waiting, "Region-noun pairs of ovseg-pipeline")
        for file in self._waiting.values():
            if isinstance(file, Path):
                file.unlink()
        self._waiting, self._bytes = {}, 0


def dataset_folder(to: str, private: bool | None, files: int) -> StorageFolder | HubFolder:
    """The folder at an address.

    Args:
        to: any fsspec URI of a folder, or hf://datasets/ORG/NAME[@BRANCH].
        private: as `HubRepository`; for the hub alone.
        files: how many the data will have.

    Raises:
        UserError: it cannot be written, or not so many files.
        OSError: the hub does not answer.
    """
    refuse_secrets("--to", to)
    if not is_on_the_hub(to):
        return StorageFolder(to)
    if files > _FILES_IN_FOLDER:
        raise UserError(
            f"--to: the hub takes {_FILES_IN_FOLDER} files in a folder, and the dataset has {files} shards; mine with "
            "a larger shards.images_per_shard, or export to other storage"
        )
    return HubFolder(to, private)
