"""Phrases from captions to the committed shard: which text is matched, and two phrases of a noun in one image."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image as Picture

from pipeline import storage
from pipeline.captions import CaptionsConfig, open_captions, write_listing
from pipeline.clip import Clip, RegionEncoder
from pipeline.dataset.layout import Layout
from pipeline.dataset.shards import ShardsConfig
from pipeline.dataset.vocabulary import Vocabulary, select_phrases, vocabulary_table
from pipeline.errors import UserError
from pipeline.images import ImagesConfig
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchingConfig
from pipeline.mining.plan import resolve
from pipeline.mining.run import mine
from pipeline.mining.steps.find_nouns import FindNouns
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.steps.read_images import ReadImages
from pipeline.mining.steps.write_shard import WriteShard
from pipeline.nouns import NounsConfig, select_vocabulary
from pipeline.proposals import Proposals
from pipeline.regions import RegionsConfig
from tests.mining.configs import dataset_bytes, mine_config

Text = Literal["noun", "phrase"]
MANY = " and ".join(f"a red kite{letter}{other}" for letter in "bcdfghjklmnpqrtvwxz" for other in "abcdefghijklmnop")
CAPTIONS = [
    ["A bus and a dog.", "A nice red bus near two  BLUE buses."],
    ["Two buses."],
    [MANY],
    ["", "一只红色的狗", "красная собака", "very red, several, nice and other", "A dog. " + "big " * 900],
]
RED_BUS = {
    "noun": "bus", "surface": "bus", "caption_index": 1, "char_start": 11, "char_end": 14,
    "phrase": "red bus", "phrase_start": 7, "phrase_end": 14, "attributes": ["red"],
}  # fmt: skip


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A listing of images with the captions above."""
    images: list[dict] = []
    annotations: list[dict] = []
    (tmp_path / "images").mkdir()
    for number, captions in enumerate(CAPTIONS):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8).repeat(5, 0).repeat(5, 1)
        Picture.fromarray(pixels).save(tmp_path / "images" / f"{number}.jpg")
        images.append({"id": number, "file_name": f"{number}.jpg"})
        annotations += [{"id": len(annotations) + n, "image_id": number, "caption": c} for n, c in enumerate(captions)]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    layout = Layout(str(tmp_path / "out"))
    source = open_captions(CaptionsConfig("coco", str(tmp_path / "captions.json"), images=str(tmp_path / "images")))
    write_listing(source, layout.uri, 100)
    return layout


def found(layout: Layout, config: NounsConfig) -> list[dict]:
    FindNouns(layout, None, config)(0)
    return storage.read_table(layout.table("captions", 0)).to_pylist()


def test_an_image_has_each_phrase_once_and_no_bare_noun_beside_one(layout: Layout) -> None:
    rows = found(layout, NounsConfig("bundled", form="phrase"))
    assert [noun["phrase"] for noun in rows[0]["nouns"]] == ["dog", "red bus", "blue bus"]
    assert rows[0]["nouns"][1] == RED_BUS
    assert rows[0]["nouns"][0]["attributes"] == []
    assert [(noun["noun"], noun["phrase"]) for noun in rows[1]["nouns"]] == [("bus", "bus")]
    assert rows[3]["caption_problems"] == ["empty", "no_latin_letters", "no_latin_letters", "no_nouns", "too_long"]
    assert rows[3]["nouns"] == []
    for row in rows:
        for noun in row["nouns"]:
            caption = row["captions"][noun["caption_index"]]
            assert caption[noun["phrase_start"] : noun["phrase_end"]].lower().split()[-1].startswith(noun["noun"][:3])


def test_three_hundred_nouns(layout: Layout) -> None:
    rows = found(layout, NounsConfig("bundled", form="phrase", max_caption_length=10_000))
    nouns = rows[2]["nouns"]
    assert 250 < len(nouns) <= 304  # the words are invented, and not all of them look like nouns
    assert {noun["phrase"] for noun in nouns} == {f"red {noun['noun']}" for noun in nouns}


@pytest.mark.parametrize("form", ["lemma", "surface"])
def test_without_phrases_their_columns_are_null(layout: Layout, form: Literal["lemma", "surface"]) -> None:
    rows = found(layout, NounsConfig("bundled", form=form))
    nouns = [noun for row in rows for noun in row["nouns"]]
    assert nouns
    assert {noun[name] for noun in nouns for name in RED_BUS if name.startswith(("phrase", "attr"))} == {None}


def test_counts_are_of_images(layout: Layout) -> None:
    counts = FindNouns(layout, None, NounsConfig("bundled", form="phrase"))(0)
    assert counts["bus", None] == 2
    assert counts["bus", "red bus"] == counts["bus", "blue bus"] == 1
    assert ("bus", "bus") not in counts
    assert counts == FindNouns(layout, None, NounsConfig("bundled", form="phrase"))(0)  # from the table


def test_phrases_of_the_vocabulary_are_those_of_its_nouns() -> None:
    counts = {("bus", "red bus"): 2, ("dog", "big dog"): 1, ("dog", "a dog"): 2, ("sky", "blue sky"): 9}
    assert select_phrases(counts, ["bus", "dog"]) == [("bus", "red bus"), ("dog", "a dog"), ("dog", "big dog")]


def mined(layout: Layout, clip: Clip, text: Text) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Rows of the manifest of the first two images, each with three masks, and the texts' embeddings."""
    counts = FindNouns(layout, None, NounsConfig("bundled", form="phrase"))(0)
    images = {noun: count for (noun, phrase), count in counts.items() if not phrase}
    nouns = select_vocabulary(images, min_count=1)
    phrases = select_phrases({(noun, phrase): count for (noun, phrase), count in counts.items() if phrase}, nouns)
    rng = np.random.default_rng(0)
    embeddings = rng.standard_normal((len(nouns) + len(phrases), 32)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    table = vocabulary_table(
        nouns,
        [images[noun] for noun in nouns],
        embeddings[: len(nouns)],
        {key: counts[key] for key in phrases} if text == "phrase" else None,
        embeddings[len(nouns) :],
    )
    vocabulary = Vocabulary(table)
    assert len(vocabulary) == len(nouns)
    shard = ReadImages(layout, ImagesConfig(), vocabulary)(0, announce=lambda _: None)
    for image in shard.remaining()[2:]:
        shard.reject(image, "proposals", "no_masks")
    for image in shard.remaining():
        masks = np.zeros((3, 30, 40), bool)
        masks[0, :10], masks[1, 10:20, :20], masks[2, 5:30, 15:] = True, True, True
        image.proposals = Proposals(Masks.encode(masks), np.ones(3, np.float32))
    config = MatchingConfig(text=text, candidates=2)
    shard = MatchRegions([RegionEncoder(clip, RegionsConfig(), 4)], config, vocabulary)(shard, lambda _: None)
    rows = WriteShard(layout, config, ShardsConfig())(shard, lambda _: None)
    names = nouns + [phrase for _, phrase in phrases]
    return rows, dict(zip(names, embeddings, strict=True))


def scores(layout: Layout, clip: Clip, row: dict, rows: list[dict]) -> np.ndarray:
    """Features float32 [3,D] of the three masks of a row's image, cut one by one."""
    pixels = np.asarray(Picture.open(row["image_uri"]))
    masks = np.zeros((3, 30, 40), bool)
    masks[0, :10], masks[1, 10:20, :20], masks[2, 5:30, 15:] = True, True, True
    [(_, features_VD, _)] = RegionEncoder(clip, RegionsConfig(), 4).encode([(pixels, Masks.encode(masks), None)])
    return features_VD


@pytest.mark.parametrize("text", ["noun", "phrase"])
def test_what_is_matched_is_the_text_that_was_chosen(layout: Layout, tiny: Clip, text: Text) -> None:
    rows, embedding = mined(layout, tiny, text)
    assert [(row["noun"], row["phrase"]) for row in rows] == [
        ("dog", "dog"),
        ("bus", "red bus"),
        ("bus", "blue bus"),
        ("bus", "bus"),
    ]
    assert rows[1] | RED_BUS == rows[1]
    for row in rows:
        features_VD = scores(layout, tiny, row, rows)
        cosine_V = features_VD @ embedding[row[text]]
        assert row["proposal_index"] == cosine_V.argmax()
        assert row["clip_score"] == pytest.approx(cosine_V.max(), abs=1e-5)
        # The runner-up is another text, never the noun itself under another phrase.
        others = {other[text] for other in rows if other["image_id"] == row["image_id"]} - {row[text]}
        if others:
            best = max(features_VD[row["proposal_index"]] @ embedding[other] for other in others)
            assert row["noun_margin"] == pytest.approx(row["clip_score"] - best, abs=1e-5)
        else:
            assert row["noun_margin"] is None
    same = rows[1]["proposal_index"] == rows[2]["proposal_index"] and rows[1]["clip_score"] == rows[2]["clip_score"]
    assert same == (text == "noun")
    candidates = storage.read_table(layout.table("candidates", 0)).to_pylist()
    assert [row["phrase"] for row in candidates if row["rank"] == 0] == [row["phrase"] for row in rows]


def test_phrases_reach_the_samples(layout: Layout, tiny: Clip) -> None:
    rows, _ = mined(layout, tiny, "phrase")
    tar = str(Path(layout.uri) / "shards" / "000000.tar")
    samples = list(webdataset.WebDataset([tar], shardshuffle=False))
    assert [json.loads(sample["json"])["phrase"] for sample in samples] == [row["phrase"] for row in rows]
    assert samples[1]["txt"] == b"bus"


def test_phrases_cannot_be_matched_where_there_are_none(world: Path, tmp_path: Path) -> None:
    config = mine_config(world, "local-dir:x", tmp_path / "out", matching=MatchingConfig(text="phrase"))
    with pytest.raises(UserError, match=r"matching\.text is phrase.* nouns\.form is lemma"):
        resolve(config)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_mining_by_phrases_carries_on_with_the_same_bytes(world: Path, small_clip: str, tmp_path: Path) -> None:
    document = json.loads((world / "captions.json").read_text())
    for number, annotation in enumerate(document["annotations"]):
        annotation["caption"] = f"A {('red', 'blue')[number % 2]} tree and a small dog. " + annotation["caption"]
    (tmp_path / "captions.json").write_text(json.dumps(document))
    config = mine_config(
        world,
        small_clip,
        tmp_path / "out",
        captions=CaptionsConfig("coco", str(tmp_path / "captions.json"), images=str(world / "images")),
        captions_per_image="all",
        nouns=NounsConfig("bundled", form="phrase", max_vocabulary=4),
        matching=MatchingConfig(text="phrase"),
    )
    dataset = mine(config)
    rows = pq.read_table(tmp_path / "out" / "manifests").to_pylist()
    assert len(rows) == dataset["pairs"]
    assert len({row["noun"] for row in rows}) == 4
    assert {"red tree", "blue tree", "small dog"} <= {row["phrase"] for row in rows}
    keys = [(row["image_id"], row["phrase"]) for row in rows]
    assert len(set(keys)) == len(keys)
    vocabulary = pq.read_table(tmp_path / "out" / "vocabulary.parquet").to_pylist()
    assert {row["phrase"] or row["noun"] for row in vocabulary if row["kept"]} == {row["phrase"] for row in rows} | {
        row["noun"] for row in rows
    }
    before = dataset_bytes(tmp_path / "out")
    for name in ("dataset.json", "manifests/000001.parquet", "captions/000001.parquet"):
        (tmp_path / "out" / name).unlink()
    mine(config)
    assert dataset_bytes(tmp_path / "out") == before
