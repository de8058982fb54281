"""The samples of a training run: what the manifests of a mined dataset list, filtered, and split by image."""

import hashlib
from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import schemas
from pipeline.configuration import limits
from pipeline.dataset.folds import fold_of
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import Manifest
from pipeline.dataset.opening import open_mined_dataset
from pipeline.dataset.quality import read_quality
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads
from pipeline.training.balance import balance_pairs
from pipeline.training.condition import filter_pairs
from pipeline.training.config import DataConfig
from pipeline.training.deduplication import without_duplicates
from pipeline.training.expression import P_RIGHT, Expression, parse_expression
from pipeline.training.hard_negatives import NEGATIVES, take_negatives
from pipeline.training.readable_shards import REQUIRED, check_cache, check_damages, check_tars, read_manifests
from pipeline.training.sample_table import WEIGHT, Samples, with_sorted_nouns
from pipeline.training.selection import Selection
from pipeline.training.verifier_columns import add_opinions
from pipeline.training.weighting import weigh_pairs

_CHECKSUM = "crc32"
"""Datasets of an older version have none; they are trained on all the same."""


def select_samples(dataset: str, config: DataConfig, hard_negatives: int = 0) -> Samples:
    """The samples of a mined dataset that `config` asks for, each with up to so many hard negatives.

    All manifests are read; of the tars, only whether they are there and have the right size (with
    `config.skip_damaged`: every byte).

    Raises:
        UserError: no mined dataset, one without pairs or of an older version, a damaged one, a condition that DuckDB
            refuses or that no pair fulfils, phrases or hard negatives where there are none, a setting out of range.
        OSError: storage cannot be read.
    """
    limits.check(config, "data")
    if config.fold is not None and config.fold >= config.folds:
        raise UserError(
            f"data.fold is {config.fold}, but there are data.folds = {config.folds}, which count from 0: give one "
            "below that, or more folds"
        )
    where, weight = (
        parse_expression(f"data.{name}", text) if (text := getattr(config, name)) else None
        for name in ("where", "weight")
    )
    opened = open_mined_dataset(dataset, "dataset")
    opened.check_begun()
    needed = {_CHECKSUM, "phrase", "proposal_index"}.union(
        *(expression.columns for expression in (where, weight) if expression)
    )
    needed |= {NEGATIVES} if hard_negatives else set()
    optional = [name for name in schemas.MANIFEST.names if name in needed and name not in REQUIRED]
    manifests, damages = read_manifests(opened, optional)
    check_damages(dataset, damages, config)
    judged = any(P_RIGHT in expression.names for expression in (where, weight) if expression)
    opinions = {name for expression in (where, weight) if expression for name in expression.of_verifiers}
    pairs, quality_sha256, verified_sha256 = _pairs(opened.layout, manifests, judged, opinions)
    found = len(pairs)
    if not found:
        raise UserError(f"dataset: the {len(manifests)} readable shards of {dataset} hold no pair to train on")
    if config.text == "phrase":
        _check_phrases(dataset, pairs)
    if where:
        pairs = filter_pairs(pairs, where)
    fulfilling = len(pairs)
    if config.text == "noun":
        pairs = _without_repetitions(pairs)
    repeated = fulfilling - len(pairs)
    duplicate_images = 0
    if config.deduplicate is not None:
        shards = [manifest.shard for manifest in manifests]
        pairs, duplicate_images = without_duplicates(pairs, opened.layout, shards, config.deduplicate)
    duplicates = fulfilling - repeated - len(pairs)
    used = set(pairs["shard"].unique().to_pylist())
    tars = {
        file: expected
        for manifest in manifests
        if manifest.shard in used
        for file, expected in manifest.files.items()
        if file.startswith("shards/")
    }
    check_cache(dataset, [expected["bytes"] for expected in tars.values()], config)
    damages += check_tars(opened.layout, tars, whole=config.skip_damaged)
    check_damages(dataset, damages, config)
    skipped = sorted({damage.shard for damage in damages if damage.shard is not None})  # each is of a shard
    pairs = pairs.filter(pc.invert(pc.is_in(pairs["shard"], pa.array(skipped, pa.int32()))))
    if not len(pairs):
        raise UserError(f"dataset: all shards of {dataset} with pairs to train on are damaged; mine them again")
    digest = hashlib.sha256()
    for manifest in manifests:
        assert manifest.sha256 is not None  # it was read whole
        digest.update(manifest.sha256.encode())
    table, selection = _select(pairs, config, weight, [NEGATIVES] if hard_negatives else [])
    if hard_negatives:
        place = table.schema.get_field_index(NEGATIVES)
        table = table.set_column(place, NEGATIVES, take_negatives(table, hard_negatives, dataset))
    selection = replace(
        selection,
        pairs=found,
        fulfilling=fulfilling,
        repeated=repeated,
        duplicates=duplicates,
        duplicate_images=duplicate_images,
    )
    return Samples(dataset, digest.hexdigest(), skipped, table, quality_sha256, verified_sha256, selection)


def _pairs(
    layout: Layout, manifests: list[Manifest], judged: bool, opinions: Collection[str]
) -> tuple[pa.Table, str | None, str | None]:
    """The pairs of all shards, sorted by key, and the SHA-256 of quality and second opinions that were asked for.

    Args:
        judged: `p_right` is wanted.
        opinions: names that may be columns of verifiers; those that are, are wanted.

    Raises:
        UserError: what is wanted is not there.
    """
    tables = []
    for manifest in manifests:
        columns = sorted(manifest.table.column_names, key=schemas.MANIFEST.names.index)
        tables.append(manifest.table.select(columns).replace_schema_metadata(None))
    quality_sha256 = verified_sha256 = None
    if judged:
        digest = hashlib.sha256()
        for index, quality in enumerate(in_threads(lambda manifest: read_quality(layout, manifest), manifests)):
            tables[index] = tables[index].append_column(P_RIGHT, pa.array(quality.p_right, pa.float32()))
            digest.update(quality.sha256.encode())
        quality_sha256 = digest.hexdigest()
    if opinions and layout.present("verified"):
        verified_sha256 = add_opinions(layout, manifests, tables, opinions)
    pairs = pa.concat_tables(tables) if tables else schemas.MANIFEST.empty_table()
    return pairs.sort_by("key"), quality_sha256, verified_sha256


def _select(
    pairs: pa.Table, config: DataConfig, weight: Expression | None, more: list[str]
) -> tuple[pa.Table, Selection]:
    """The table of samples, with some more columns, out of the pairs that fulfil `data.where`, and what remained."""
    held_out = _per_image(pairs, lambda image: is_held_out(image, config.held_out_share))
    pairs = pairs.append_column("held_out", held_out)
    if config.fold is not None:
        of_fold = _per_image(pairs, lambda image: fold_of(image, config.folds) == config.fold)
        pairs = pairs.filter(pc.or_(held_out, of_fold))
    columns = ["key", "shard", "tar_offset", "tar_length", _CHECKSUM, "noun", "held_out", *more]
    rows = np.flatnonzero(~pairs["held_out"].to_numpy())
    in_fold = len(rows)
    balance = None
    if balanced := balance_pairs(pairs.take(rows), config.balance):
        kept, balance = balanced
        stays = np.ones(len(pairs), dtype=bool)
        stays[rows] = kept
        pairs = pairs.filter(pa.array(stays))
        rows = np.flatnonzero(~pairs["held_out"].to_numpy())
    weights = np.ones(len(rows))
    if weight and len(rows):
        weights = weigh_pairs(pairs.take(rows), weight)
        if (weights[weights > 0] != 1).any():
            of_all = np.full(len(pairs), np.nan)
            of_all[rows] = weights
            pairs = pairs.append_column(WEIGHT, pa.array(of_all, from_pandas=True))
            columns.append(WEIGHT)
        counts = np.ones(len(pairs), dtype=bool)
        counts[rows] = weights > 0
        pairs = pairs.filter(pa.array(counts))
    selection = Selection.of(pairs, in_fold=in_fold, weights=weights[weights > 0], balance=balance)
    if config.text == "phrase":
        pairs = pairs.drop_columns("noun").rename_columns({"phrase": "noun"})
    return with_sorted_nouns(pairs.select(columns).combine_chunks()), selection


def _check_phrases(dataset: str, pairs: pa.Table) -> None:
    if pairs["phrase"].null_count:
        raise UserError(
            f"data.text is phrase, but pairs of {dataset} have no phrase: it was mined with another nouns.form than "
            "phrase, or by an older version; mine it again with nouns.form phrase, or set data.text to noun"
        )


def _without_repetitions(pairs: pa.Table) -> pa.Table:
    """Of several phrases of a noun that have one region of an image, the first: as nouns, they are the same pair."""
    if pairs["phrase"].null_count == len(pairs):
        return pairs
    same = ["image_id", "proposal_index", "noun"]
    rows = pairs.select(same).append_column("row", pa.array(np.arange(len(pairs))))
    return pairs.take(rows.group_by(same).aggregate([("row", "min")])["row_min"].combine_chunks().sort())


def _per_image(pairs: pa.Table, holds: Callable[[str], bool]) -> pa.Array:
    """Per pair whether something holds for its image, bool."""
    images = pairs["image_id"].unique()
    held = pa.array([holds(image) for image in images.to_pylist()], pa.bool_())
    return held.take(pc.index_in(pairs["image_id"], images).combine_chunks())


def is_held_out(image_id: str, share: float) -> bool:
    """Whether an image is kept from training: spread evenly, and the same in every run."""
    return int.from_bytes(hashlib.sha256(image_id.encode()).digest()[:8]) / 2**64 < share
