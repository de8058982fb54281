"""Re-reading every checksum of a dataset, and making damaged shards due again."""

from collections.abc import Callable, Iterator

import pyarrow as pa

from pipeline import storage
from pipeline.captions import stored_listing
from pipeline.configuration.overwriting import check_no_links
from pipeline.dataset.files import Damage, check_file, listed_files
from pipeline.dataset.hashes import check_hashes
from pipeline.dataset.layout import FOLDERS, Layout, checked_file, shard_of, stem
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.quality import check_quality
from pipeline.dataset.verified import check_verified
from pipeline.errors import UserError
from pipeline.escaping.enumeration import first_of
from pipeline.mining.originals import find_changed
from pipeline.storage.documents import DamagedFileError
from pipeline.storage.in_threads import in_threads

BESIDE = ("quality", "verified", "hashes")
"""Folders of tables beside a dataset, which is whole without them."""
_WHOLE_DATASET = ("config.yaml", "vocabulary.parquet")


def verify(output: str, *, images: bool = False, remark: Callable[[str], None] = lambda _: None) -> list[Damage]:
    """Re-read every file of every committed shard and compare sizes and SHA-256.

    The checksums of a shard's files are in its manifest; those of the manifests and of the whole dataset's files
    are in `dataset.json`, once it is there; that of the listing is in `config.yaml`. A manifest whose images are not
    any more what its pairs were cut from counts as damaged: see `pipeline.mining.originals` for what is looked at.
    Tables of quality, of second opinions and of hashes need not be there; one that is there has to be of its manifest
    and of its pairs.

    Args:
        images: read all images again, whatever that takes.
        remark: called with what is no damage but should be known.

    Raises:
        UserError: there is no dataset, or one that names files outside of itself.
        OSError: storage cannot be read, which says nothing about the dataset.
    """
    dataset = open_mined_dataset(output)
    layout = dataset.layout
    try:
        expected = listed_files(layout)
    except DamagedFileError as error:
        return [Damage("dataset.json", f"unreadable: {error}")]
    for folder in FOLDERS:
        for name in layout.foreign(folder):
            remark(f"{folder}/{name}: no file of this dataset; nothing reads or deletes it")
    for folder in BESIDE:
        for without in sorted(layout.present(folder) - set(dataset.shards)):
            remark(f"{folder}/{stem(without)}.parquet: its shard is not committed, so nothing reads it")
    known = {shard for file in expected if (shard := Damage(file, "").shard) is not None}
    shards = sorted(known.union(dataset.shards))
    checked = in_threads(lambda shard: list(_check_shard(layout, shard, expected)), shards, 8)
    damages = [damage for found in checked for damage in found]
    for file in _WHOLE_DATASET:
        if file in expected:
            damages.extend(check_file(layout, file, expected[file]))
    damages.extend(_check_listing(layout, dataset.description))
    whole = sorted(layout.committed() - {damage.shard for damage in damages})
    damages.extend(_check_images(layout, whole, images, remark))
    return damages


def _check_shard(layout: Layout, shard: int, expected: dict) -> Iterator[Damage]:
    uri = layout.table("manifests", shard)
    manifest = layout.relative(uri)
    if manifest in expected:
        found = list(check_file(layout, manifest, expected[manifest]))
        if found:
            yield from found
            return
    try:
        read = read_whole_manifest(layout, shard)
    except FileNotFoundError:
        yield Damage(manifest, "missing")
        return
    except DamagedFileError as error:
        yield Damage(manifest, f"unreadable: {error}")
        return
    for file, checksum in read.files.items():
        yield from check_file(layout, file, checksum)
    if "key" in read.table.column_names:  # a manifest of a version of this program that gave none is no damage
        yield from check_quality(layout, read)
        yield from check_verified(layout, read)
        yield from check_hashes(layout, read)


def _check_listing(layout: Layout, description: dict) -> Iterator[Damage]:
    source = description["source"]
    images_per_shard = description["configuration"].get("shards", {}).get("images_per_shard")
    if "sha256" not in source or not images_per_shard:
        return
    problem = "content differs from its checksum in config.yaml"
    try:
        if stored_listing(layout.uri, images_per_shard).sha256 == source["sha256"]:
            return
    except FileNotFoundError:
        problem = "missing"
    except (pa.ArrowException, ValueError) as error:
        problem = f"unreadable: {error}"
    yield Damage("listing", problem)


def _check_images(layout: Layout, shards: list[int], every: bool, remark: Callable[[str], None]) -> Iterator[Damage]:
    found = find_changed(layout, shards, every=every)
    for shard, changed in sorted(found.changed.items()):
        names = first_of(changed, 3, separator="; ")
        yield Damage(f"manifests/{stem(shard)}.parquet", f"made from {len(changed)} images that changed: {names}")
    if found.unread:
        remark(f"{found.unread} images are not there any more, or cannot be read; their pairs are")


def repair(output: str, damages: list[Damage]) -> list[int]:
    """Make the damaged shards due again: the next mining run writes them anew. Returns their numbers.

    A damaged table of quality, of second opinions or of hashes is deleted, which makes no shard due: `jobs.inspect
    quality`, `jobs.mine --verify-only` and `jobs.inspect duplicates --hash` write them again. Nothing but files of this
    dataset is deleted, and none through a link that leads elsewhere.

    Raises:
        UserError: `config.yaml` is damaged, so that nothing says what the dataset was made with; or a damage is none of
            a dataset's files.
    """
    layout = Layout(output)
    if any(damage.file == "config.yaml" for damage in damages):
        raise UserError(f"{layout.config} is damaged and cannot be made again; mine into another directory")
    shards = sorted({damage.shard for damage in damages if damage.shard is not None})
    # The captions table is input to the shard: a damaged one must not be read again. (A damaged listing is noticed
    # and written again by the next run.)
    due = [layout.relative(layout.table("manifests", shard)) for shard in shards]
    side = [damage.file for damage in damages if _is_beside(damage.file)]
    due += [damage.file for damage in damages if damage.file not in ("listing", "dataset.json", *side)]
    for file in due:
        checked_file(file, output)
    check_no_links(output, sorted({file.partition("/")[0] for file in [*due, *side] if "/" in file}))
    if len(side) < len(damages):
        # Otherwise the dataset would still call itself complete.
        storage.remove(layout.dataset)
    for file in [*side, *due]:
        storage.remove(layout.path(file))
    return shards


def _is_beside(file: str) -> bool:
    folder, _, name = file.partition("/")
    return folder in BESIDE and shard_of(folder, name) is not None
