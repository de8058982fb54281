"""Manifests and tars of a mined dataset: those that training can read, and what is wrong with the others."""

import hashlib
from collections.abc import Iterable

from pipeline import storage
from pipeline.dataset.files import CONTENT_DIFFERS, Damage, check_file, listed_files, size_differs
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest, parse_manifest
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.storage.documents import DamagedFileError
from pipeline.storage.in_threads import in_threads
from pipeline.training.config import DataConfig

REQUIRED = ("key", "shard", "image_id", "noun", "tar_offset", "tar_length")
"""Columns without which there is no training."""


def read_manifests(dataset: MinedDataset, optional: list[str]) -> tuple[list[Manifest], list[Damage]]:
    """The manifests that can be read, in the order of their shards, and what is wrong with the others.

    Args:
        optional: columns besides `REQUIRED`; nulls in datasets of versions that did not have them.
    """
    checksums = listed_files(dataset.layout)  # none while mining is not complete: what is committed can be trained on
    listed = [Damage(file, "missing") for file in checksums if file.startswith("manifests/")]
    manifests: list[Manifest] = []
    damages = [damage for damage in listed if damage.shard not in dataset.shards]
    for read in in_threads(lambda shard: _read_manifest(dataset.layout, shard, optional, checksums), dataset.shards):
        if isinstance(read, Damage):
            damages.append(read)
        else:
            manifests.append(read)
    return manifests, damages


def _read_manifest(layout: Layout, shard: int, optional: list[str], checksums: dict) -> Manifest | Damage:
    uri = layout.table("manifests", shard)
    file = layout.relative(uri)
    try:
        data = storage.read_bytes(uri)
        if file in checksums and checksums[file]["sha256"] != hashlib.sha256(data).hexdigest():
            return Damage(file, CONTENT_DIFFERS)
        return parse_manifest(data, layout, shard, REQUIRED, optional)
    except FileNotFoundError:
        return Damage(file, "missing")
    except DamagedFileError as error:
        return Damage(file, f"unreadable: {error}")


def check_cache(dataset: str, shard_bytes: list[int], config: DataConfig) -> None:
    """Without room for the shards that are mixed with one another, nearly every sample would fetch its shard anew.

    Args:
        shard_bytes: sizes of the tars that are read.

    Raises:
        UserError: naming `data.cache_gb`.
    """
    mixed = config.shuffle_shards or len(shard_bytes)
    needed = sum(sorted(shard_bytes)[-mixed:])
    if not storage.is_local(dataset) and needed > config.cache_gb * 1e9:
        fitting = int(config.cache_gb * 1e9 // max(shard_bytes))
        raise UserError(
            f"data.cache_gb: {config.cache_gb:g} is too little for {min(mixed, len(shard_bytes))} shards of {dataset}, "
            f"which are mixed with one another and have {needed / 1e9:.3g} GB; "
            + (f"raise it, or set data.shuffle_shards to at most {fitting}" if fitting else "raise it")
        )


def check_damages(dataset: str, damages: list[Damage], config: DataConfig) -> None:
    """Refuse a damaged dataset, unless damaged shards are to be left out.

    Raises:
        UserError: naming the first files.
    """
    if not damages or config.skip_damaged:
        return
    listed = first_of([f"{damage.file}: {damage.reason}" for damage in damages], 5, separator="; ")
    raise UserError(
        f"dataset: {len(damages)} files of {dataset} are damaged or missing: {listed}. See python -m jobs.inspect "
        f"{dataset} --verify; mine them again, or leave their shards out with data.skip_damaged"
    )


def check_tars(layout: Layout, tars: dict[str, dict], whole: bool) -> list[Damage]:
    """Compare tars with what their manifests say: sizes, and with `whole` their content."""

    def check_size(file: str) -> Iterable[Damage]:
        expected = tars[file]["bytes"]
        try:
            size = storage.size(layout.path(file))
        except FileNotFoundError:
            return [Damage(file, "missing")]
        return [] if size == expected else [Damage(file, size_differs(size, expected))]

    def check_content(file: str) -> Iterable[Damage]:
        return check_file(layout, file, tars[file])

    found = in_threads(lambda file: list((check_content if whole else check_size)(file)), sorted(tars))
    return [damage for damages in found for damage in damages]
