"""Columns of all pairs, second opinions and what the model learns from: against brute force; bad tables."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.opening import MinedDataset, open_mined_dataset
from pipeline.errors import UserError
from pipeline.quality.columns import PairColumns, read_columns
from pipeline.quality.features import features
from pipeline.quality.noun_groups import noun_groups
from pipeline.quality.opinions import read_opinions
from tests.report.made_dataset import make_dataset
from tests.second_opinions import write_random_opinions


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make_dataset(folder / "mined", ["dog", "cat", "hat", "tree", "sky", "[/] [red]"], shards=3, images_per_shard=5)
    return folder / "mined"


@pytest.fixture(scope="module")
def opened(made) -> MinedDataset:
    return open_mined_dataset(str(made))


@pytest.fixture(scope="module")
def pairs(opened) -> PairColumns:
    return read_columns(opened)


@pytest.fixture(scope="module")
def rows(made) -> list[dict]:
    return pq.read_table(made / "manifests").to_pylist()


def test_columns_are_those_of_the_manifests(pairs, rows):
    assert pairs.keys.to_pylist() == [row["key"] for row in rows]
    assert [pairs.nouns[code] for code in pairs.noun] == [row["noun"] for row in rows]
    assert list(pairs.nouns) == sorted(pairs.nouns)
    np.testing.assert_allclose(pairs.score, [row["clip_score"] for row in rows])
    area = [row["mask_area"] / row["image_width"] / row["image_height"] for row in rows]
    np.testing.assert_allclose(pairs.area, area, rtol=1e-6)
    assert pairs.starts.tolist() == [0, 16, 32, 48]
    assert len({*zip(pairs.image.tolist(), (row["image_id"] for row in rows), strict=True)}) == 12


def test_what_is_counted_over_images_and_nouns(pairs, rows):
    for index, row in enumerate(rows):
        of_image = [other for other in rows if other["image_id"] == row["image_id"]]
        of_noun = [other["clip_score"] for other in rows if other["noun"] == row["noun"]]
        code = pairs.noun[index]
        assert pairs.rank[index] == sum(other["clip_score"] > row["clip_score"] for other in of_image)
        assert pairs.image_pairs[pairs.image[index]] == len(of_image)
        same = [other for other in of_image if other["proposal_index"] == row["proposal_index"]]
        assert pairs.sharing[index] == len(same)
        assert pairs.noun_pairs[code] == len(of_noun)
        assert pairs.noun_score[code] == pytest.approx(np.mean(of_noun), rel=1e-6)


def test_equal_scores_have_equal_ranks(pairs):
    score = np.array([0.5, 0.7, 0.5, 0.1, 0.9], np.float32)
    image = np.array([0, 0, 0, 0, 1], np.int32)
    columns = dict.fromkeys(("noun_margin", "mask_margin", "area", "proposal_index", "proposal_score"), score)
    keys = pa.chunked_array([["a", "b", "c", "d", "e"]])
    few = PairColumns((0,), ("",), np.array([0, 5]), keys, ("x",), np.zeros(5, np.int32), image, score, **columns)
    assert few.rank.tolist() == [1, 0, 1, 3, 0]


def test_groups_of_nouns(pairs):
    group = noun_groups(pairs)
    counts = pairs.noun_pairs
    for one in range(len(group)):
        for other in range(len(group)):
            assert (counts[one] < counts[other]) <= (group[one] <= group[other])
            assert (counts[one] == counts[other]) <= (group[one] == group[other])


def write_opinion(path: Path, **columns: object) -> str:
    pq.write_table(pa.table(columns), path)
    return str(path)


def test_opinions_are_joined_by_key(opened, pairs, tmp_path):
    keys = pairs.keys.to_pylist()
    order = np.random.default_rng(0).permutation(len(keys))[:40]
    score = order.astype(np.float64)
    score[0] = np.nan
    uri = write_opinion(
        tmp_path / "opinion.parquet", score=score, key=[keys[row] for row in order], agrees=order % 2 == 0
    )
    number, agrees = read_opinions([uri], pairs, opened)
    assert (number.name, agrees.name) == ("opinion.score", "opinion.agrees")
    expected = np.full(len(keys), np.nan)
    expected[order[1:]] = order[1:]
    np.testing.assert_array_equal(number.score, expected)
    assert (number.missing, agrees.missing) == (len(keys) - 39, len(keys) - 40)
    assert [found.name for found in read_opinions([uri, uri], pairs, opened)][::2] == [
        "opinion1.score",
        "opinion2.score",
    ]
    names, columns_PF = features(pairs, [number, agrees])
    assert columns_PF.dtype == np.float32
    assert np.isfinite(columns_PF).all()
    missing = columns_PF[:, names.index("opinion.score missing")]
    np.testing.assert_array_equal(missing == 1, np.isnan(expected))
    assert "score missing" not in names


def test_the_opinion_of_a_verifier(opened, made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "mined")
    dataset = open_mined_dataset(str(copy))
    pairs = read_columns(dataset)
    with pytest.raises(UserError, match=r"--opinion verify:so400m: .*verified/000000\.parquet is not there"):
        read_opinions(["verify:so400m"], pairs, dataset)
    said = {}
    for shard in range(3):
        said |= write_random_opinions(copy, shard, shard, so400m={"sha256": "1"})
    found = read_opinions(["verify:so400m"], pairs, dataset)
    assert [opinion.name for opinion in found] == ["so400m.score", "so400m.noun_margin", "so400m.mask_margin"]
    np.testing.assert_array_equal(found[0].score, [said[key][0] for key in pairs.keys.to_pylist()])
    assert [opinion.missing for opinion in found] == [3, 0, 0]  # the first pair of each shard
    with pytest.raises(UserError, match=r"has no opinion of b, but of so400m; .*--verify-only"):
        read_opinions(["verify:b"], pairs, dataset)


def test_opinions_that_are_none(opened, pairs, tmp_path):
    keys = pairs.keys.to_pylist()
    score = np.zeros(len(keys))
    bad = {
        "there have to be key": {"name": keys, "score": score},
        "at least one column of scores": {"key": keys},
        "there have to be key (text)": {"key": np.arange(len(keys)), "score": score},
        "occur twice": {"key": keys[:1] * 2, "score": [1.0, 0.0]},
        "are empty": {"key": [None, *keys[1:]], "score": score},
        "none of its 2 keys is a pair": {"key": ["x", "../../y"], "score": [1.0, 0.0]},
        "has the type string": {"key": keys, "score": ["[/]"] * len(keys)},
        "give at most 16": {"key": keys, **{f"c{i}": score for i in range(17)}},
    }
    for number, (said, columns) in enumerate(bad.items()):
        uri = write_opinion(tmp_path / f"{number}.parquet", **columns)
        with pytest.raises(UserError, match=uri) as raised:
            read_opinions([uri], pairs, opened)
        assert said in str(raised.value)
    with pytest.raises(UserError, match="no such file"):
        read_opinions([str(tmp_path / "none.parquet")], pairs, opened)
    (tmp_path / "text.parquet").write_text("PAR1 PAR1")
    with pytest.raises(UserError, match="is damaged"):
        read_opinions([str(tmp_path / "text.parquet")], pairs, opened)


def test_a_dataset_without_pairs(tmp_path):
    layout = make_dataset(tmp_path / "mined", ["dog", "cat", "hat", "tree"], shards=1, images_per_shard=1)
    with pytest.raises(UserError, match="none of its 1 shards has a pair"):
        read_columns(open_mined_dataset(layout.uri))


def test_scores_that_are_no_numbers(tmp_path):
    layout = make_dataset(tmp_path / "mined", ["dog", "cat", "hat", "tree"], shards=1, images_per_shard=3)
    uri = layout.table("manifests", 0)
    table = pq.read_table(uri)
    odd = pa.array([np.nan] * len(table), pa.float32())
    pq.write_table(table.set_column(table.schema.get_field_index("clip_score"), "clip_score", odd), uri)
    with pytest.raises(UserError, match="pairs without clip_score"):
        read_columns(open_mined_dataset(layout.uri))
