"""Names inside an output directory.

An output directory may be another's, or hold files of other programs (`._000000.parquet`, `000000 (1).parquet`,
`notes.txt`). So a name counts only if it is exactly what this program writes: everything else is left out where folders
are listed, and refused where a file names another (`checked_file`).
"""

import re
from collections.abc import Iterable

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.output_directory import OutputDirectory

FOLDERS = (
    "manifests",
    "quality",
    "verified",
    "hashes",
    "captions",
    "candidates",
    "proposals",
    "rejects",
    "shards",
    "statistics",
    "attempts",
    "errors",
    "listing",
)
"""All folders of a dataset; manifests first, since they make a shard count."""

_STEM = "([0-9]{6}|[1-9][0-9]{6,8})"
_TABLE, _RECORD = rf"{_STEM}\.parquet", rf"{_STEM}\.json"
_TABLES = ("manifests", "quality", "verified", "hashes", "captions", "candidates", "proposals", "rejects", "listing")
_NAMES = {
    **dict.fromkeys(_TABLES, _TABLE),
    **dict.fromkeys(("statistics", "errors"), _RECORD),
    "shards": rf"{_STEM}\.tar",
    "attempts": rf"{_STEM}\.[a-z_]+\.json|seconds_per_image\.json",
}

OWN_ATTEMPTS = f"attempts/(?:{_NAMES['attempts']})"
"""Pattern of the records that workers leave, which nobody needs when the dataset is complete."""

LEAKAGE = "leakage"
"""The folder of comparisons with images that one evaluates on, of a dataset or a training run."""

COMPARISON = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
"""Pattern of the name of a comparison."""

OWN_LEAKAGE = rf"{LEAKAGE}/{COMPARISON}\.(?:parquet|html)"
"""Pattern of its files."""

OWN_FILES = (
    *(f"{folder}/(?:{_NAMES[folder]})" for folder in FOLDERS),
    r"report/index\.html",
    OWN_LEAKAGE,
    r"dataset\.json",
    r"README\.md",
    r"vocabulary\.parquet",
    r"config\.yaml",
)
"""Patterns of all files of a dataset, in the order in which they may be deleted: manifests first and `config.yaml`
last, so that an interrupted deletion never leaves shards that look committed under another configuration."""

KEY = rf"{_STEM}-[0-9]{{5,9}}(-[0-9]{{3,9}})?"
"""Pattern of the key of a sample; it is part of file names."""

_REFERRED = re.compile(
    rf"(?:manifests|captions|candidates|proposals|rejects|listing)/{_TABLE}|shards/{_STEM}\.tar|vocabulary\.parquet|config\.yaml"
)


def stem(shard: int) -> str:
    """`000123`: the name that all files of a shard share."""
    return f"{shard:06d}"


def shard_of(folder: str, name: str) -> int | None:
    """The number of the shard that a name in a folder of the dataset belongs to; None for anything else."""
    found = re.fullmatch(_NAMES[folder], name)
    return int(found[1]) if found and found[1] else None


def checked_file(file: object, where: str) -> str:
    """The path of a file inside a dataset as another file names it, if it is one that this program writes.

    Args:
        where: the file that names it.

    Raises:
        UserError: naming `where` and what was found.
    """
    if not isinstance(file, str) or not _REFERRED.fullmatch(file):
        raise UserError(
            f"{where} names {str(file)[:200]!r}, which is no file of a dataset such as shards/000123.tar; the dataset "
            "is damaged or not of this program, so nothing was read or changed"
        )
    return file


class Layout(OutputDirectory):
    """Where everything of a dataset lies below one output URI."""

    @property
    def vocabulary(self) -> str:
        """The nouns that may name a region, with their counts and CLIP embeddings."""
        return self.path("vocabulary.parquet")

    @property
    def dataset(self) -> str:
        """The summary in JSON, written when all shards are committed: its presence says that the dataset is whole."""
        return self.path("dataset.json")

    @property
    def card(self) -> str:
        """The summary for people, in Markdown."""
        return self.path("README.md")

    def table(self, kind: str, shard: int) -> str:
        """A Parquet table of one shard; `kind`: captions, manifests, candidates, proposals, rejects, quality,
        verified or hashes."""
        return self.path(kind, f"{stem(shard)}.parquet")

    def tar(self, shard: int) -> str:
        """The samples of a shard in WebDataset's format: a crop, its mask, its noun and the JSON of its row each."""
        return self.path("shards", f"{stem(shard)}.tar")

    def statistics(self, shard: int) -> str:
        """How many regions a shard had, and the seconds that each stage worked on it, in JSON."""
        return self.path("statistics", f"{stem(shard)}.json")

    def error(self, shard: int) -> str:
        """Why a shard failed: there from then until it is committed."""
        return self.path("errors", f"{stem(shard)}.json")

    def relative(self, uri: str) -> str:
        """The path inside the directory, of a URI that one of the methods above returned."""
        return uri.removeprefix(self.path("")).lstrip("/")

    def failed(self) -> set[int]:
        """Shards that have a record of an error."""
        return self.present("errors")

    def committed(self) -> set[int]:
        """Shards whose manifest is there: the only ones that are part of the dataset."""
        return self.present("manifests")

    def present(self, folder: str) -> set[int]:
        """Shards that have a file in this folder."""
        return _shards_of(folder, storage.list_names(self.path(folder)))

    def foreign(self, folder: str) -> list[str]:
        """Names in a folder of the dataset that are not this program's; nothing reads, writes or deletes them."""
        return [name for name in storage.list_names(self.path(folder)) if not re.fullmatch(_NAMES[folder], name)]


def _shards_of(folder: str, names: Iterable[str]) -> set[int]:
    return {shard for name in names if (shard := shard_of(folder, name)) is not None}
