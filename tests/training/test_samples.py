"""Which samples a run trains on, and what is said about datasets that cannot be trained on."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset.folds import fold_of
from pipeline.errors import UserError
from pipeline.microworld.pair_shards import describe_pairs
from pipeline.training.samples import DataConfig, Samples, select_samples
from tests.training.datasets import NOUNS, manifest, tar, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture
def damaged(dataset, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(dataset, tmp_path / "copy"))


def select(folder: Path, **options) -> Samples:
    return select_samples(str(folder), DataConfig(**options))


def test_the_samples_are_the_rows_of_the_manifests(mined):
    samples = select(mined)
    rows = sorted(pq.read_table(mined / "manifests").to_pylist(), key=lambda row: row["key"])
    assert len(rows) > 50
    for column in ("key", "shard", "tar_offset", "tar_length", "crc32", "noun"):
        assert samples.table[column].to_pylist() == [row[column] for row in rows]
    assert samples.nouns == sorted({row["noun"] for row in rows})
    assert [samples.nouns[noun] for noun in samples.noun_of_row] == [row["noun"] for row in rows]
    assert samples.table.schema.names == ["key", "shard", "tar_offset", "tar_length", "crc32", "noun", "held_out"]
    assert samples.key(3) == rows[3]["key"]
    assert samples.skipped_shards == []


def test_they_can_be_written_and_read(dataset, tmp_path):
    samples = select(dataset, held_out_share=0.4, where="noun <> 'dog'")
    samples.write(str(tmp_path / "samples.parquet"))
    read = Samples.read(str(tmp_path / "samples.parquet"))
    assert dataclasses.replace(read, table=None) == dataclasses.replace(samples, table=None)
    assert read.table.equals(samples.table)
    assert read.nouns == samples.nouns == ["apple", "zebra"]
    for name in ("noun_of_row", "train", "held_out"):
        assert (getattr(read, name) == getattr(samples, name)).all()


def test_the_hash_of_the_manifests_tells_datasets_apart(dataset, damaged, tmp_path):
    assert select(damaged).manifest_sha256 == select(dataset, where="noun = 'dog'").manifest_sha256
    assert select(write_dataset(tmp_path / "other", shards=2)).manifest_sha256 != select(dataset).manifest_sha256


def test_held_out_images_are_known_by_their_id_and_share_no_pair_with_training(tmp_path):
    folder = write_dataset(tmp_path, shards=1, images=600, side=4)
    rows = pq.read_table(folder / "manifests").to_pylist()
    images = {row["key"]: row["image_id"] for row in rows}

    def held_out(**options) -> set[str]:
        samples = select(folder, **options)
        kept, apart = ({images[samples.key(row)] for row in rows} for rows in (samples.train, samples.held_out))
        assert not kept & apart
        assert len(samples.train) + len(samples.held_out) == len(samples.table)
        return apart

    apart = held_out(held_out_share=0.25)
    assert abs(len(apart) - 150) < 5 * np.sqrt(600 * 0.25 * 0.75)
    subset = {image for image in apart if int(image.removeprefix("image-")) >= 100}
    assert held_out(held_out_share=0.25, where="clip_score >= 1") == subset
    assert apart < held_out(held_out_share=0.5)
    assert held_out(held_out_share=0.0) == set()
    assert len(held_out(held_out_share=1.0)) == 600


def test_a_fold_is_part_of_what_is_trained_on_and_changes_nothing_of_what_is_held_out(tmp_path):
    folder = write_dataset(tmp_path, shards=2, images=40, side=4)
    images = {row["key"]: row["image_id"] for row in pq.read_table(folder / "manifests").to_pylist()}

    def keys(samples: Samples) -> tuple[set[str], set[str]]:
        train, held_out = ({samples.key(row) for row in rows} for rows in (samples.train, samples.held_out))
        return train, held_out

    every, held_out = keys(select(folder, held_out_share=0.2))
    parts = []
    for fold in range(3):
        part, apart = keys(select(folder, held_out_share=0.2, fold=fold, folds=3))
        assert apart == held_out
        assert part == {key for key in every if fold_of(images[key], 3) == fold}
        parts.append(part)
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(every)


def test_a_fold_beyond_their_number(dataset):
    with pytest.raises(UserError, match=r"^data\.fold is 2, but there are data\.folds = 2, which count from 0"):
        select(dataset, fold=2)


@given(least=st.floats(0, 0.12), noun=st.sampled_from(NOUNS))
@settings(deadline=None, max_examples=20)
def test_a_condition_selects_what_it_says(dataset, least, noun):
    rows = pq.read_table(dataset / "manifests").to_pylist()
    expected = [row["key"] for row in rows if row["clip_score"] > np.float32(least) and row["noun"] != noun]
    where = f"clip_score > {least}::FLOAT and not noun = '{noun}'"
    if expected:
        assert select(dataset, where=where).table["key"].to_pylist() == sorted(expected)
    else:
        with pytest.raises(UserError, match=r"data\.where: none of the 24 pairs fulfils"):
            select(dataset, where=where)


def test_a_condition_may_look_at_all_pairs(dataset):
    where = "noun in (select noun from pairs group by noun having max(clip_score) >= 0.11) -- the last images"
    assert select(dataset, where=where).nouns == sorted({NOUNS[11 % 3], NOUNS[12 % 3]})


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("clip_skore > 0", r'"clip_skore" not found.*columns: key, shard, .*clip_score'),
        ("clip_score >", "Parser Error"),
        (" ", "Parser Error"),
        ("noun", "BOOL"),
        ("count(*) > 1", "aggregates need a window"),
        ("clip_score > 0; delete from pairs", "Parser Error"),
        ("clip_score > 0) or (true", "Parser Error"),
        ("true union select 1", "Parser Error"),
        ("exists (select * from read_csv('/etc/passwd'))", "file system operations are disabled"),
        ("exists (select * from '/etc/passwd')", "does not exist"),
        ("exists (select * from glob('/*'))", "file system operations are disabled"),
        ("exists (select * from read_parquet('s3://bucket/key'))", "file system operations are disabled"),
        ("exists (select * from samples)", "does not exist"),  # a variable of the calling Python code
        ("getenv('HOME') <> ''", "does not exist"),
    ],
)
def test_a_condition_that_is_none_is_refused(dataset, where, reason):
    samples = pa.table({"noun": ["dog"]})
    assert len(samples) == 1
    with pytest.raises(UserError, match=rf"(?s)^data\.where: .*{reason}"):
        select(dataset, where=where)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expand": 0.5}, "data.expand is 0.5; it must be at least 1"),
        ({"min_scale": 0.0}, "data.min_scale is 0.0; it must be above 0 and at most 1"),
        ({"unmasked_share": 1.5}, "data.unmasked_share is 1.5; it must be at least 0 and at most 1"),
        ({"held_out_share": float("nan")}, "data.held_out_share is nan; it must be at least 0 and at most 1"),
        ({"loaders": -1}, "data.loaders is -1; it must be at least 0"),
        ({"shuffle_shards": 0}, "data.shuffle_shards is 0; it must be at least 1"),
        ({"fold": -1}, "data.fold is -1; it must be at least 0"),
        ({"folds": 1}, "data.folds is 1; it must be at least 2"),
        ({"cache_gb": 0}, "data.cache_gb is 0; it must be above 0"),
    ],
)
def test_settings_out_of_range_are_named(dataset, options, message):
    with pytest.raises(UserError, match=message):
        select(dataset, **options)


def test_a_folder_that_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match="so nothing that this program has made"):
        select(tmp_path)
    describe_pairs(tmp_path, shards=1, images=1)
    with pytest.raises(UserError, match="no shard is committed yet"):
        select(tmp_path)
    with pytest.raises(UserError, match=r"^dataset: "):
        select(tmp_path / "absent")


def test_a_dataset_without_pairs(tmp_path):
    with pytest.raises(UserError, match=r"the 2 readable shards of .* hold no pair"):
        select(write_dataset(tmp_path, shards=2, images=0))


def test_a_dataset_of_an_older_version(damaged):
    for shard in range(3):
        table = pq.read_table(manifest(damaged, shard))
        pq.write_table(table.drop_columns(["tar_offset", "tar_length"]), manifest(damaged, shard))
    (damaged / "dataset.json").unlink()
    with pytest.raises(UserError, match=r"lacks tar_length, tar_offset: .* older version .* mine the dataset again"):
        select(damaged)


def test_mining_need_not_be_complete(damaged):
    (damaged / "dataset.json").unlink()
    manifest(damaged, 1).unlink()
    assert set(select(damaged).table["shard"].to_pylist()) == {0, 2}


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES = {
    "missing tar": (lambda folder: tar(folder, 1).unlink(), "shards/000001.tar: missing"),
    "short tar": (lambda folder: tar(folder, 1).write_bytes(b"1234"), r"shards/000001.tar: 4 bytes instead of \d+"),
    "missing manifest": (lambda folder: manifest(folder, 1).unlink(), "manifests/000001.parquet: missing"),
    "damaged manifest": (
        lambda folder: flip_a_bit(manifest(folder, 1)),
        "manifests/000001.parquet: content differs from its checksum",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_or_left_out_on_demand(damaged, damage):
    do, message = DAMAGES[damage]
    do(damaged)
    with pytest.raises(UserError, match=rf"dataset: 1 files of .* {message}\. See .*--verify.*data\.skip_damaged"):
        select(damaged)
    samples = select(damaged, skip_damaged=True)
    assert samples.skipped_shards == [1]
    assert set(samples.table["shard"].to_pylist()) == {0, 2}


def test_a_manifest_that_is_no_parquet(damaged):
    (damaged / "dataset.json").unlink()  # so nothing says what it should be
    manifest(damaged, 2).write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"manifests/000002\.parquet: unreadable"):
        select(damaged)
    assert select(damaged, skip_damaged=True).skipped_shards == [2]


def test_changed_bytes_are_found_where_damage_is_to_be_left_out(damaged):
    flip_a_bit(tar(damaged, 2))
    assert select(damaged).skipped_shards == [], "sizes alone do not tell"
    assert select(damaged, skip_damaged=True).skipped_shards == [2]
    assert select(damaged, skip_damaged=True, where="shard < 2").skipped_shards == [], "it is not used"
    for shard in (0, 1):
        tar(damaged, shard).unlink()
    with pytest.raises(UserError, match=r"all shards of .* are damaged"):
        select(damaged, skip_damaged=True)


def test_all_manifests_damaged(damaged):
    for shard in range(3):
        flip_a_bit(manifest(damaged, shard))
    with pytest.raises(UserError, match=r"3 files of .* are damaged or missing"):
        select(damaged)
    with pytest.raises(UserError, match=r"the 0 readable shards of .* hold no pair"):
        select(damaged, skip_damaged=True)


@pytest.mark.parametrize(
    ("where", "named"),
    [
        ("random() < 0.5", "random"),
        ("clip_score > 0 and (noun = 'dog' or RANDOM() < .5)", "random"),
        ("uuid()::text < '8'", "uuid"),
        ("now() > '2020-01-01'", "now"),
        ("current_date > '2020-01-01'", "current_date"),
        ("CURRENT_TIMESTAMP > '2020-01-01'", "current_timestamp"),
        ("key in (select key from pairs where random() < 0.5)", "random"),
        ("key in (select key from pairs using sample 5)", "tablesample"),
        ("key in (select key from pairs tablesample 10%)", "tablesample"),
    ],
)
def test_conditions_that_give_other_pairs_every_time(dataset, where, named):
    with pytest.raises(UserError, match=rf"^data\.where: .* uses {named}, which gives other pairs every time"):
        select(dataset, where=where)


@pytest.mark.parametrize(
    "where", ["hash(key) % 2 = 0", "noun <> 'random()'", "md5(key) < '8'", "year(date '2020-1-1')>1"]
)
def test_conditions_that_give_the_same_pairs_every_time(dataset, where):
    assert select(dataset, where=where).sha256 == select(dataset, where=where).sha256


def test_the_digest_of_the_samples_tells_them_apart(dataset, tmp_path):
    digests = {
        select(dataset).sha256,
        select(dataset, where="noun = 'dog'").sha256,
        select(dataset, where="noun <> 'dog'").sha256,
        select(dataset, held_out_share=0.5).sha256,
    }
    assert len(digests) == 4
    samples = select(dataset, held_out_share=0.5)
    samples.write(str(tmp_path / "samples.parquet"))
    assert Samples.read(str(tmp_path / "samples.parquet")).sha256 == samples.sha256


def test_datasets_of_an_older_version_have_no_checksums(dataset, damaged):
    (damaged / "dataset.json").unlink()
    for path in (damaged / "manifests").iterdir():
        pq.write_table(pq.read_table(path).drop_columns("crc32"), path)
    for where in (None, "clip_score >= 0"):
        samples = select(damaged, where=where)
        assert samples.table["crc32"].null_count == len(samples.table) == len(select(dataset).table)


def with_phrases(folder: Path, phrase_of: dict[tuple[str, str], str | None]) -> Path:
    """Gives the pairs of a dataset their phrases, by image and noun."""
    for path in (folder / "manifests").iterdir():
        table = pq.read_table(path)
        pairs = zip(table["image_id"].to_pylist(), table["noun"].to_pylist(), strict=True)
        phrases = pa.array([phrase_of.get(pair, pair[1]) for pair in pairs], pa.string())
        index = table.column_names.index("phrase")
        pq.write_table(table.set_column(index, table.schema.field(index), phrases), path)
    (folder / "dataset.json").unlink(missing_ok=True)  # which has the checksums of the manifests as they were
    return folder


def test_what_is_trained_on_is_the_text_that_was_chosen(damaged):
    nouns = select(damaged)
    folder = with_phrases(damaged, {("image-0", "zebra"): "striped zebra", ("image-3", "zebra"): "small zebra"})
    chosen = select(folder, text="phrase")
    texts = [chosen.nouns[index] for index in chosen.noun_of_row]
    expected = [nouns.nouns[index] for index in nouns.noun_of_row]
    keys = nouns.table["key"].to_pylist()
    assert chosen.table["key"].to_pylist() == keys
    for place, text in ((0, "striped zebra"), (3, "small zebra")):
        [row] = [
            row for row, key in enumerate(keys) if key.startswith(f"000000-{place:05d}") and expected[row] == "zebra"
        ]
        expected[row] = text
    assert texts == expected
    assert chosen.sha256 != nouns.sha256
    assert select(folder).sha256 == nouns.sha256
    # The condition sees both columns, whichever is trained on.
    assert set(select(folder, text="phrase", where="noun = 'zebra' and phrase <> noun").nouns) == {
        "striped zebra",
        "small zebra",
    }
    assert select(folder, where="phrase = 'small zebra'").nouns == ["zebra"]


@pytest.mark.parametrize("phrases", [None, {("image-1", "apple"): None}])
def test_phrases_are_refused_where_there_are_none(damaged, phrases):
    if phrases:
        with_phrases(damaged, phrases)
    with pytest.raises(UserError, match=r"data\.text is phrase, but pairs of .* nouns\.form phrase"):
        select(damaged, text="phrase")


def test_two_phrases_of_one_region_are_one_pair_of_its_noun(damaged):
    path = manifest(with_phrases(damaged, {}), 0)
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row, phrase, proposal in zip(rows[:4], ("red dog", "big dog", "red dog", "big dog"), (7, 7, 7, 8), strict=True):
        row |= {"noun": "dog", "phrase": phrase, "proposal_index": proposal}
    pq.write_table(pa.Table.from_pylist(rows, table.schema), path)
    keys = [row["key"] for row in rows[:4]]
    where = "noun = 'dog' and phrase <> noun"
    assert select(damaged, where=where, text="phrase").table["key"].to_pylist() == keys
    samples = select(damaged, where=where)
    assert samples.table["key"].to_pylist() == [keys[0], *keys[2:]]
    assert samples.selection.repeated == 1
    assert "1 repeat a region and its noun" in str(samples.selection)
