"""Changing a bank: a dataset's segment is put in, replaced or taken out by one atomic write of `bank.json`."""

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

from pipeline import storage
from pipeline.bank.description import (
    DESCRIPTION,
    FILE_NAME,
    SEGMENTS,
    BankDescription,
    Segment,
    read_description,
)
from pipeline.dataset.layout import stem
from pipeline.errors import UserError


def segment_name(fingerprint: str, dataset: str) -> str:
    """The name of the segment of a dataset. One that nobody mined has no fingerprint, so its URI names it."""
    return hashlib.sha256((fingerprint or dataset).encode()).hexdigest()[:16]


def file_of(segment: str, part: int | str, made_of: Any) -> str:
    """The path inside a bank of a segment's file.

    Args:
        part: the shard, or `nouns`.
        made_of: all that decides its content, as JSON takes it.
    """
    digest = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]
    return f"{SEGMENTS}/{segment}/{stem(part) if isinstance(part, int) else part}-{digest}.arrow"


def read_if_there(bank: str, key: str) -> BankDescription | None:
    """The description of a bank; None where there is none yet.

    Raises:
        UserError: as `read_description`; or something else is in its place.
    """
    if storage.exists(storage.join(bank, DESCRIPTION)):
        return read_description(bank, key)
    others = set(storage.list_names(bank)) - {SEGMENTS}
    if others:
        raise UserError(
            f"{key}: {bank} holds {min(others)} and no {DESCRIPTION}, so it is no bank; choose another folder"
        )
    return None


def with_segment(description: BankDescription, segment: Segment) -> BankDescription:
    """A description with one more segment, or another of the same dataset; sorted by name."""
    others = [other for other in description.segments if other.name != segment.name]
    return replace(description, segments=sorted([*others, segment], key=lambda one: one.name))


def without_segment(description: BankDescription, dataset: str) -> BankDescription:
    """A description without the segment of a dataset.

    Args:
        dataset: its URI, or the name or the fingerprint of its segment.

    Raises:
        UserError: there is none, or there are several.
    """
    wanted = (dataset, storage.absolute(dataset).rstrip("/"))
    found = [one for one in description.segments if {one.dataset.rstrip("/"), one.name, one.fingerprint} & {*wanted}]
    if len(found) != 1:
        known = "; ".join(f"{one.dataset} ({one.name})" for one in description.segments) or "none"
        raise UserError(f"--remove: {dataset} names {len(found)} of the datasets in the bank, which has: {known}")
    return replace(description, segments=[one for one in description.segments if one is not found[0]])


def write_description(bank: str, description: BankDescription) -> None:
    """Write `bank.json`; then delete the files that it does not name any more.

    Only files that are called as a bank's are deleted, in the folders of the segments that it has or had.

    Raises:
        OSError: storage failed.
    """
    before = read_if_there(bank, "--to")
    storage.write_bytes(storage.join(bank, DESCRIPTION), description.to_json())
    named = {file.file for segment in description.segments for file in (segment.nouns, *segment.files)}
    segments = {segment.name for one in (before, description) if one for segment in one.segments}
    for name in sorted(segments):
        folder = storage.join(bank, SEGMENTS, name)
        storage.remove_leftovers(folder)
        for file in storage.list_names(folder):
            if re.fullmatch(FILE_NAME, file) and f"{SEGMENTS}/{name}/{file}" not in named:
                storage.remove(storage.join(folder, file))
