"""`bank.json`: what a bank holds and was made with. Written last and by one atomic put, so that what it names is there.

A bank is a folder:

    bank.json
    segments/0123456789abcdef/000012-fedcba987654.arrow    entries of one shard of one dataset
    segments/0123456789abcdef/nouns-fedcba987654.arrow     its nouns and their text embeddings

A segment is a dataset; its name comes from the dataset's fingerprint. Names of files have a digest of all that decides
their content, so that a file that is there need not be made again, and one that `bank.json` names is never overwritten
by another.
"""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass
from typing import get_args

from pipeline import storage
from pipeline.bank.parsing import parsed
from pipeline.clip.template_choice import TemplateSet, check_templates
from pipeline.errors import UserError
from pipeline.regions.config import Fill
from pipeline.storage.documents import DamagedFileError, parse_json

FORMAT, VERSION = "ovseg-bank", 1
DESCRIPTION = "bank.json"
SEGMENTS = "segments"

SEGMENT_NAME = "[0-9a-f]{16}"
FILE_NAME = r"(?:[0-9]{6,9}|nouns)-[0-9a-f]{12}\.arrow"
_FILE = re.compile(rf"{SEGMENTS}/{SEGMENT_NAME}/{FILE_NAME}")
_HASH = re.compile("[0-9a-f]{64}")
_MOST = 2**40
_MOST_WIDTH = 2**16


@dataclass(frozen=True)
class BankFile:
    """One file of a bank."""

    file: str
    """Its path inside the bank."""
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class BankClip:
    """The CLIP whose embeddings a bank holds."""

    architecture: str | None
    weights: str | None
    """As `clip.…` named it; where it lay may have changed since."""
    vision_sha256: str
    """`Clip.vision_weights_sha256`."""
    text_sha256: str
    """`Clip.text_weights_sha256`."""
    size: int
    mean: list[float]
    std: list[float]
    """Its input, see `ClipInput`."""


@dataclass(frozen=True)
class BankRegions:
    """How regions were shown to CLIP; see `RegionsConfig`."""

    fill: str
    expand: float


@dataclass(frozen=True)
class Segment:
    """The entries of one dataset."""

    name: str
    dataset: str
    """URI of the dataset."""
    fingerprint: str
    """Of the dataset's `config.yaml`."""
    manifests_sha256: str
    """SHA-256 over the SHA-256 of its manifests, in the order of their shards."""
    where: str | None
    """Condition on its pairs."""
    pairs: int
    images: int
    images_without_sha256: int
    """Images that were never a file: they cannot be recognised by their content."""
    nouns: BankFile
    files: list[BankFile]
    """Entries, in the order of the shards."""


@dataclass(frozen=True)
class BankDescription:
    """Content of `bank.json`, but for format and version."""

    clip: BankClip
    width: int
    """D, of the embeddings."""
    templates: str | list[str]
    """Prompt templates of the nouns' text embeddings: a set, or a list of others."""
    regions: BankRegions
    segments: list[Segment]

    def to_json(self) -> bytes:
        """The content of the file."""
        content = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False).encode()

    @property
    def sha256(self) -> str:
        """Identifies what the bank answers: it changes with the content of any file."""
        return hashlib.sha256(self.to_json()).hexdigest()


def read_description(bank: str, key: str) -> BankDescription:
    """`bank.json` of a folder.

    Args:
        key: the configuration key or option that names the folder, for messages.

    Raises:
        UserError: it is not there, of another version, damaged, or names files that a bank does not have.
        OSError: storage cannot be read.
    """
    uri = storage.join(bank, DESCRIPTION)
    try:
        content = parse_json(storage.read_bytes(uri), uri)
    except FileNotFoundError:
        raise UserError(
            f"{key}: {bank} has no {DESCRIPTION}, so it is no bank, or one that was not finished; write it with "
            "python -m jobs.export OUTPUT --format bank --to BANK"
        ) from None
    except DamagedFileError as error:
        raise _damaged(uri, error) from error
    if content.get("format") != FORMAT:
        raise UserError(f"{key}: {uri} is no description of a bank (its format is {str(content.get('format'))[:40]!r})")
    if content.get("version") != VERSION:
        raise UserError(
            f"{key}: {bank} is a bank of format version {str(content.get('version'))[:20]}, and this program reads "
            f"version {VERSION}; export it again"
        )
    known = {name: value for name, value in content.items() if name not in ("format", "version")}
    try:
        description = parsed(known, BankDescription)
        _check(description)
    except (ValueError, UserError) as error:
        raise _damaged(uri, error) from error
    return description


def damaged_bank(bank: str, problem: str) -> UserError:
    """What to say of a bank whose files are not what `bank.json` says."""
    return UserError(
        f"segmentation.bank.path: {bank} is damaged: {problem}; run the python -m jobs.export that wrote it again, "
        "which makes anew what is missing, or write it to another folder"
    )


def _damaged(uri: str, problem: object) -> UserError:
    return UserError(f"{uri} is damaged: {str(problem)[:500]}; export the bank again into another folder")


def _check(description: BankDescription) -> None:
    """Raise ValueError if something is out of range, or leads out of the bank."""
    if not 1 <= description.width <= _MOST_WIDTH:
        raise ValueError(f"width is {description.width}")
    if description.regions.fill not in get_args(Fill) or not 1 <= description.regions.expand < math.inf:
        raise ValueError(f"regions is {description.regions}")
    if isinstance(description.templates, list):
        check_templates(description.templates, "templates")
    elif description.templates not in get_args(TemplateSet):
        raise ValueError(f"templates is {description.templates[:40]!r}")
    for name in ("vision_sha256", "text_sha256"):
        if not _HASH.fullmatch(getattr(description.clip, name)):
            raise ValueError(f"clip.{name} is no SHA-256")
    names = [segment.name for segment in description.segments]
    if len(set(names)) != len(names):
        raise ValueError("two segments have the same name")
    for segment in description.segments:
        if not re.fullmatch(SEGMENT_NAME, segment.name):
            raise ValueError(f"{segment.name[:80]!r} is no name of a segment")
        for file in (segment.nouns, *segment.files):
            if not _FILE.fullmatch(file.file) or file.file.split("/")[1] != segment.name:
                raise ValueError(f"{file.file[:200]!r} is no file of segment {segment.name}")
            if not (_HASH.fullmatch(file.sha256) and 0 <= file.rows <= _MOST and 0 <= file.bytes <= _MOST):
                raise ValueError(f"{file.file} has no size or checksum there")
        if sum(file.rows for file in segment.files) != segment.pairs:
            raise ValueError(f"the files of segment {segment.name} have other rows than its {segment.pairs} pairs")
