"""Whether images are still the files that committed shards were made from.

A manifest keeps the size and the SHA-256 of every image as it was read. What a quick look compares:

- files on this machine: the size of each; and the content of those that were changed after the dataset was begun;
- files on other storage, and members of archives: the content of a hundred of them, spread over the shards;
- https: nothing. Thousands of hosts would be asked, and some of them always give another file;
- a dataset on other storage: a hundred images of a hundred shards, since nothing else is known without reading all
  manifests.

Images that are not there any more are no mix of old and new, and are counted apart.
"""

import hashlib
import os
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline import storage
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_manifest
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig
from pipeline.mining.steps.read_images import read_ahead
from pipeline.mining.work import Image
from pipeline.storage.in_threads import in_threads

_SAMPLED = 100
_READERS = 8


@dataclass
class Changes:
    """What became of the images of committed shards."""

    changed: dict[int, list[str]] = field(default_factory=dict)
    """By shard, its images that are other files now, each with what is known of it."""
    unread: int = 0
    """Images that are gone or cannot be read."""


@dataclass(frozen=True)
class _Original:
    """An image that gave pairs, as its manifest describes it."""

    shard: int
    index: int
    """In the shard."""
    uri: str
    bytes: int
    sha256: str


def check_originals(layout: Layout) -> None:
    """A quick look at the images of all committed shards.

    Raises:
        UserError: some have changed, so that a dataset that is carried on would be made of old and new ones.
        OSError: storage cannot be read.
    """
    shards = sorted(layout.committed())
    found = find_changed(layout, shards)
    if not found.changed:
        return
    images = [f"{image} (shard {shard})" for shard, names in sorted(found.changed.items()) for image in names]
    raise UserError(
        f"captions.images: {len(images)} images of {len(found.changed)} of the {len(shards)} committed shards are not "
        "the files any more that the shards were made from:\n"
        + "\n".join(f"  {image}" for image in images[:10])
        + ("\n  …" if len(images) > 10 else "")
        + f"\nTo mine their shards again: python -m jobs.inspect {shlex.quote(layout.uri)} --repair --images "
        "(which reads every image), then the same command. Or mine into another directory, or with --overwrite"
    )


def find_changed(layout: Layout, shards: Sequence[int], *, every: bool = False) -> Changes:
    """Compare images with what the manifests of these shards say of them.

    Args:
        every: read all images; otherwise a quick look (see above).

    Raises:
        UserError: a manifest is damaged.
        OSError: storage cannot be read.
    """
    begun = None if every else _modified(layout.config)
    per_shard = -(-_SAMPLED // max(len(shards), 1))
    sampled = set(shards[:: max(1, -(-len(shards) // _SAMPLED))])
    looked_at = [shard for shard in shards if every or begun is not None or shard in sampled]

    def look(shard: int) -> tuple[dict[int, str], int]:
        originals = _originals(layout, shard)
        others = [original for original in originals if not _is_file(original.uri)]
        changed, same_size, unread = _stat([original for original in originals if _is_file(original.uri)])
        if every:
            due = others + [original for original, _ in same_size]
        else:
            others = [original for original in others if not original.uri.startswith(("http://", "https://"))]
            due = [original for original, changed_at in same_size if begun is not None and changed_at >= begun]
            if begun is None:  # nothing says what changed since
                others += [original for original, _ in same_size]
            if shard in sampled:
                due += others[:: max(1, len(others) // per_shard)][:per_shard]
        read, missing = _read(layout, due)
        return changed | read, unread + missing

    found = Changes()
    for shard, (changed, unread) in zip(looked_at, in_threads(look, looked_at, _READERS), strict=True):
        found.unread += unread
        if changed:
            found.changed[shard] = [what for _, what in sorted(changed.items())]
    return found


def _originals(layout: Layout, shard: int) -> list[_Original]:
    """The images of a shard that have pairs, but for such as were never files, and those of older versions."""
    manifest = read_manifest(layout, shard, ["key"], optional=["image_uri", "image_bytes", "image_sha256"])
    images = {int(row["key"].split("-")[1]): row for row in manifest.table.to_pylist()}
    return [
        _Original(shard, index, row["image_uri"], row["image_bytes"], row["image_sha256"])
        for index, row in sorted(images.items())
        if row["image_sha256"]
    ]


def _stat(originals: list[_Original]) -> tuple[dict[int, str], list[tuple[_Original, float]], int]:
    """Of files on this machine, by index those whose size changed; those of the same size, with the time of their last
    change; how many are gone.
    """
    changed, same_size, unread = {}, [], 0
    for original in originals:
        try:
            found = os.stat(original.uri.removeprefix("file://"))
        except (OSError, ValueError):
            unread += 1
            continue
        if not stat.S_ISREG(found.st_mode):  # reading a pipe could wait without end
            unread += 1
        elif found.st_size != original.bytes:
            changed[original.index] = _described(original, f"{found.st_size} bytes instead of {original.bytes}")
        else:
            same_size.append((original, found.st_mtime))
    return changed, same_size, unread


def _read(layout: Layout, originals: list[_Original]) -> tuple[dict[int, str], int]:
    """By index those whose content changed, and how many cannot be read."""
    changed: dict[int, str] = {}
    unread = 0
    if not originals:
        return changed, unread
    rows = read_checked_table(layout.table("captions", originals[0].shard)).to_pylist()
    by_index = {original.index: original for original in originals if original.index < len(rows)}
    images = [Image(index, rows[index]) for index in by_index]
    largest = max((original.bytes for original in by_index.values()), default=0)
    for image, file in read_ahead(images, ImagesConfig(max_bytes=largest)):
        original = by_index[image.index]
        try:
            data = file.result()
        except ImageProblem as problem:
            if problem.reason == "too_many_bytes":  # more than any of them had
                changed[image.index] = _described(original, f"more than {largest} bytes instead of {original.bytes}")
            else:
                unread += 1
            continue
        except FileNotFoundError:
            unread += 1
            continue
        if hashlib.sha256(data).hexdigest() != original.sha256:
            size = f"{len(data)} bytes instead of {original.bytes}"
            changed[image.index] = _described(original, size if len(data) != original.bytes else "other content")
    return changed, unread + len(originals) - len(by_index)


def _described(original: _Original, what: str) -> str:
    return f"{original.uri}: {what}"


def _is_file(uri: str) -> bool:
    """Whether an image is a file of its own on this machine."""
    return "::" not in uri and ("://" not in uri or uri.startswith("file://"))


def _modified(uri: str) -> float | None:
    """When a file was last written, in seconds since 1970; None if it is not on this machine."""
    return os.stat(storage.filesystem(uri)[1]).st_mtime if storage.is_local(uri) else None
