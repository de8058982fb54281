"""Hard negatives in a mined dataset: in the manifest and beside the samples, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.sample import read_sample
from pipeline.dataset.shards import ShardsConfig
from pipeline.errors import UserError
from pipeline.images import ImagesConfig, read_upright
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchingConfig, MineConfig
from pipeline.mining.matching import Candidate
from pipeline.mining.plan import resolve
from pipeline.mining.run import mine
from pipeline.mining.steps.write_shard import WriteShard
from pipeline.mining.work import Image, Shard
from pipeline.negatives import ImageText, Negatives, NegativesConfig, Subject
from pipeline.proposals import Proposals
from schemas import CAPTIONS
from tests.mining.configs import dataset_bytes, mine_config

CAPTIONS_OF_IMAGE = ["a red bus and a tree", "a tram"]
NOUNS = [
    {"noun": "bus", "surface": "bus", "phrase": "red bus", "attributes": ["red"], "caption_index": 0},
    {"noun": "tree", "surface": "tree", "caption_index": 0},
    {"noun": "xqzw", "surface": "xqzw", "phrase": None, "attributes": None, "caption_index": 0},
]


def write(folder: Path, find: Negatives | None, number: int = 0) -> list[dict]:
    """Commit a shard of one image, whose nouns have one mask each; returns its manifest."""
    layout = Layout(str(folder))
    storage.write_table(CAPTIONS.empty_table(), layout.table("captions", number))
    picture = folder / "picture.png"
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)).save(picture)
    masks = np.zeros((len(NOUNS), 30, 40), bool)
    for index, mask in enumerate(masks):
        mask[5:20, 5 : 10 + index] = True
    absent = dict.fromkeys(["phrase", "phrase_start", "phrase_end", "attributes"])
    nouns = [{**absent, **noun, "char_start": 0, "char_end": 1} for noun in NOUNS]
    row = {"image_id": "7", "image_uri": "", "captions": CAPTIONS_OF_IMAGE, "nouns": nouns}
    image = Image(0, row, nouns=nouns, file_bytes=1, file_sha256="")
    image.jpeg = read_upright(picture.read_bytes(), ImagesConfig())
    image.proposals = Proposals(Masks.encode(masks), np.ones(len(NOUNS), np.float32))
    image.valid = np.ones(len(NOUNS), bool)
    image.matches = [[Candidate(noun, noun, 0, 0.5, 0.1, None)] for noun in range(len(NOUNS))]
    step = WriteShard(layout, MatchingConfig(), ShardsConfig(), negatives=find)
    step(Shard(number, [image]), lambda _: None)
    return pq.read_table(folder / "manifests" / f"{number:06d}.parquet").to_pylist()


def test_every_pair_has_its_own(tmp_path):
    find = Negatives(NegativesConfig(count=4), vocabulary=["bus", "tree", "xqzw"])
    rows = write(tmp_path, find)
    text = ImageText(["bus", "tree", "xqzw"], CAPTIONS_OF_IMAGE)
    expected = [
        find.of(subject, text, "7")
        for subject in (Subject("bus", "bus", "red bus", ["red"]), Subject("tree", "tree"), Subject("xqzw", "xqzw"))
    ]
    assert [row["negatives"] for row in rows] == expected
    assert [len(own) for own in expected] == [4, 4, 0]
    assert sum(text.endswith(" bus") for text in expected[0]) == 2  # the attribute and the noun by turns
    assert not any("tram" in text for text in expected[0])  # another caption names it
    for row in rows:
        sample = read_sample(Layout(str(tmp_path)), 0, row["tar_offset"], row["tar_length"])
        assert json.loads(sample["json"])["negatives"] == row["negatives"]
    assert [row["negatives"] for row in write(tmp_path, find, number=3)] == expected  # in whatever shard it is


def test_without_them_the_column_is_null(tmp_path):
    rows = write(tmp_path, None)
    assert [row["negatives"] for row in rows] == [None] * 3
    sample = read_sample(Layout(str(tmp_path)), 0, rows[0]["tar_offset"], rows[0]["tar_length"])
    assert json.loads(sample["json"])["negatives"] == []


def config_with(tmp_path: Path, **negatives) -> MineConfig:
    return mine_config(tmp_path, "ViT-B-16", tmp_path / "out", negatives=NegativesConfig(**negatives))


def test_what_can_find_none_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"negatives\.kinds is empty"):
        resolve(config_with(tmp_path, count=3, kinds=[]))
    with pytest.raises(UserError, match=r"negatives\.kinds: colour, size change words of phrases.*nouns\.form lemma"):
        resolve(config_with(tmp_path, count=3, kinds=["colour", "size"]))
    with pytest.raises(UserError, match=r"negatives\.count"):
        resolve(config_with(tmp_path, count=-1))
    resolve(config_with(tmp_path, count=0, kinds=[]))
    resolve(config_with(tmp_path, count=3, kinds=["noun", "size"]))


@pytest.mark.slow
def test_a_dataset_with_them_differs_in_nothing_else_and_resumes(world, small_clip, mined, ray_cluster, tmp_path):
    config = mine_config(world, small_clip, tmp_path / "out", negatives=NegativesConfig(count=3))
    dataset = mine(config)
    rows = pq.read_table(tmp_path / "out" / "manifests").to_pylist()
    assert all(row["negatives"] is not None and len(row["negatives"]) <= 3 for row in rows)
    assert dataset["without_negatives"] == sum(not row["negatives"] for row in rows) < len(rows) / 2
    assert (
        f"pairs without hard negatives | {dataset['without_negatives']} |"
        in (tmp_path / "out" / "README.md").read_text()
    )
    plain = pq.read_table(mined / "manifests").to_pylist()
    placed = {"negatives", "tar_offset", "tar_length"}
    assert [{name: row[name] for name in row if name not in placed} for row in rows] == [
        {name: row[name] for name in row if name not in placed} for row in plain
    ]
    before = dataset_bytes(tmp_path / "out")
    (tmp_path / "out" / "dataset.json").unlink()
    (tmp_path / "out" / "manifests" / "000001.parquet").unlink()
    assert mine(config) == dataset
    assert dataset_bytes(tmp_path / "out") == before
    with pytest.raises(UserError, match=r"negatives\.seed"):
        mine(replace(config, negatives=NegativesConfig(count=3, seed=1)))
