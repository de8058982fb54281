"""Second opinions without Ray: what a verifier says, while mining and afterwards."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

import schemas
from pipeline import storage
from pipeline.clip import Clip, RegionEncoder, TextEmbedder, load_clip
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifests import read_whole_manifest
from pipeline.dataset.shards import ShardsConfig
from pipeline.dataset.verified import check_verified, read_verified
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.mining.config import MatchingConfig
from pipeline.mining.second_opinion import Asked, judged
from pipeline.mining.steps.match_regions import MatchRegions
from pipeline.mining.steps.read_candidates import ReadCandidates
from pipeline.mining.steps.read_images import ReadImages
from pipeline.mining.steps.verify_candidates import Verifier, VerifyCandidates
from pipeline.mining.steps.write_opinions import write_opinions
from pipeline.mining.steps.write_shard import WriteShard
from pipeline.mining.verifiers import unverified
from pipeline.mining.work import Shard
from pipeline.proposals import Proposals
from pipeline.regions import RegionsConfig, masked_regions
from tests.clip.conftest import TINY

NOUNS = ["cat", "dog", "hat"]
IMAGES = 5
ABOUT = {
    "sha256": "1" * 64,
    "templates": ["{}"],
    "precision": "auto",
    "compile": False,
    "regions": {"fill": "mean", "expand": 1.0},
}


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_margins_and_ranks_are_those_of_a_plain_search(masks, texts, seed):
    rng = np.random.default_rng(seed)
    features_VD = rng.integers(-3, 4, (masks, 2)).astype(np.float32)  # of few values, so that some are equal
    texts_ND = rng.integers(-3, 4, (texts, 2)).astype(np.float32)
    candidates = [(text, int(mask)) for text in range(texts) for mask in rng.permutation(masks)[: rng.integers(1, 4)]]
    mask_C, text_C = np.array([mask for _, mask in candidates]), np.array([text for text, _ in candidates])
    frame = Masks.encode(np.ones((masks, 2, 2), bool))
    found = judged(features_VD, texts_ND, Asked(frame, [str(text) for text in range(texts)], mask_C, text_C))

    def score(text: int, mask: int) -> float:
        return float(features_VD[mask] @ texts_ND[text])

    for row, (text, mask) in enumerate(candidates):
        own = score(text, mask)
        others = [score(other, mask) for other in range(texts) if other != text]
        rivals = [score(text, other) for named, other in candidates if named == text and other != mask]
        assert found.score[row] == own
        for margin, scores in ((found.noun_margin[row], others), (found.mask_margin[row], rivals)):
            assert margin == own - max(scores) if scores else math.isnan(margin)
        assert found.noun_rank[row] == sum(other > own for other in others)
        assert found.mask_rank[row] == sum(other > own for other in rivals)


def clip_of(folder: Path, seed: int) -> Clip:
    torch.manual_seed(seed)
    save_file(open_clip.CLIP(**TINY).state_dict(), folder / "open_clip_model.safetensors")
    config = {"model_cfg": TINY, "preprocess_cfg": {"size": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return load_clip(f"local-dir:{folder}")


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Clip]:
    """The CLIP that matches, and two verifiers."""
    return {name: clip_of(tmp_path_factory.mktemp(name), seed) for seed, name in enumerate(("clip", "second", "third"))}


def vocabulary(clip: Clip) -> Vocabulary:
    return Vocabulary(vocabulary_table(NOUNS, [1] * len(NOUNS), TextEmbedder(clip, "vild")(NOUNS).numpy()))


def verification(clips: dict[str, Clip], *names: str) -> VerifyCandidates:
    encoders = {name: RegionEncoder(clips[name], RegionsConfig(), 4) for name in names}
    return VerifyCandidates([Verifier(name, encoders[name], vocabulary(clips[name]), 1) for name in names])


def proposals(index: int) -> Proposals:
    rng = np.random.default_rng(index)
    masks = np.zeros((3 + index, 30, 40), bool)
    masks[:, 5:25, 5:35] = rng.random((3 + index, 20, 30)) > 0.5
    return Proposals(Masks.encode(masks), np.ones(len(masks), np.float32))


def mine(folder: Path, clips: dict[str, Clip], *verifiers: str, candidates: int = 2) -> tuple[Layout, Shard]:
    """The steps of mining on one shard of five images; the last one passes no threshold."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for index in range(IMAGES):
        pixels = np.random.default_rng(index).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        path = folder / "images" / f"{index}.jpg"
        PIL.Image.fromarray(pixels).save(path, "JPEG")
        named = NOUNS[: 1 + index % 3]
        places = [
            {"noun": noun, "surface": noun, "caption_index": 0, "char_start": 4 * at, "char_end": 4 * at + 3}
            for at, noun in enumerate(named)
        ]
        rows.append(
            {
                "image_id": f"image {index}", "image_uri": str(path), "byte_offset": None, "byte_length": None,
                "width": 40, "height": 30, "captions": [" ".join(named)], "problem": None, "captions_used": 1,
                "caption_problems": [""], "nouns": places,
            }
        )  # fmt: skip
    layout = Layout(str(folder / "mined"))
    storage.write_table(pa.Table.from_pylist(rows, schemas.CAPTIONS), layout.table("captions", 0))
    shard = ReadImages(layout, ImagesConfig(), vocabulary(clips["clip"]))(0, lambda _: None)
    for image in shard.images:
        image.proposals = proposals(image.index)
    encoder = RegionEncoder(clips["clip"], RegionsConfig(), 4)
    MatchRegions([encoder], MatchingConfig(candidates=candidates), vocabulary(clips["clip"]))(shard, lambda _: None)
    verification(clips, *verifiers)(shard, lambda _: None)
    last = shard.images[-1]
    last.matches = [[replace(candidate, score=-1.0) for candidate in best] for best in last.matches or ()]
    WriteShard(layout, MatchingConfig(min_score=-0.99), ShardsConfig())(shard, lambda _: None)
    if verifiers:
        write_opinions(layout, shard, dict.fromkeys(verifiers, ABOUT))
    return layout, shard


def verify(layout: Layout, clips: dict[str, Clip], *names: str, announce=lambda _: None) -> Path:
    """The steps of `--verify-only` on it."""
    shard = ReadCandidates(layout, ImagesConfig())(0, lambda _: None)
    verification(clips, *names)(shard, announce)
    write_opinions(layout, shard, dict.fromkeys(names, ABOUT))
    return Path(layout.table("verified", 0))


@pytest.fixture(scope="module")
def at_once(clips, tmp_path_factory) -> Layout:
    """Mined with a verifier."""
    return mine(tmp_path_factory.mktemp("at-once"), clips, "second")[0]


@pytest.fixture
def mined(clips, tmp_path) -> Layout:
    """The same, mined without."""
    return mine(tmp_path, clips)[0]


def test_no_noun_has_a_second_candidate(clips, tmp_path):
    """A column without any number is no damage."""
    layout, _ = mine(tmp_path, clips, "second", candidates=1)
    margins = pq.read_table(layout.table("verified", 0))["second_mask_margin"]
    assert margins.null_count == len(margins) > 5
    assert list(check_verified(layout, read_whole_manifest(layout, 0))) == []


def test_scores_are_those_of_open_clip_on_regions_cut_one_by_one(at_once, clips):
    candidates = pq.read_table(at_once.table("candidates", 0)).to_pylist()
    verified = pq.read_table(at_once.table("verified", 0)).to_pylist()
    embed, model = TextEmbedder(clips["second"], "vild"), clips["second"].model
    assert len(candidates) == len(verified) > 10
    for row, opinion in zip(candidates, verified, strict=True):
        assert {name: opinion[name] for name in ("shard", "image_id", "noun", "phrase", "rank")}.items() <= row.items()
        pixels_HW3 = np.array(PIL.Image.open(row["image_uri"]))
        [mask_HW] = rle.decode([row["mask_rle"].encode()], 30, 40)
        region, *_ = masked_regions(
            torch.from_numpy(pixels_HW3).permute(2, 0, 1), torch.from_numpy(mask_HW)[None].bool(), size=32
        )
        feature_D = F.normalize(model.encode_image(region)[0], dim=0)
        assert opinion["second_score"] == pytest.approx(float(feature_D @ embed([row["noun"]])[0]), abs=1e-5)
        others = {other["noun"] for other in candidates if other["image_id"] == row["image_id"]} - {row["noun"]}
        margins = [opinion["second_score"] - float(feature_D @ embed([noun])[0]) for noun in sorted(others)]
        assert opinion["second_noun_margin"] == (pytest.approx(min(margins), abs=1e-5) if margins else None)
        assert opinion["second_noun_rank"] == sum(margin < 0 for margin in margins)
        assert opinion["problem"] is None


def test_keys_are_those_of_the_pairs(at_once):
    table = pq.read_table(at_once.table("verified", 0))
    pairs = pq.read_table(at_once.table("manifests", 0))
    keyed = [row for row in table.to_pylist() if row["key"]]
    assert [row["key"] for row in keyed] == pairs["key"].to_pylist()
    assert [(row["image_id"], row["noun"]) for row in keyed] == list(
        zip(pairs["image_id"].to_pylist(), pairs["noun"].to_pylist(), strict=True)
    )
    assert {row["rank"] for row in keyed} == {0}
    found = read_verified(at_once, read_whole_manifest(at_once, 0, ["key"]))
    assert found.of_pairs(pairs["key"])["key"].equals(pairs["key"])
    assert table.schema.equals(schemas.verified_schema(["second"]))
    assert found.verifiers == {"second": ABOUT}


def test_afterwards_gives_the_same_bytes_as_while_mining(clips, tmp_path):
    layout, _ = mine(tmp_path, clips, "second")
    path = Path(layout.table("verified", 0))
    before = path.read_bytes()
    path.unlink()
    assert verify(layout, clips, "second").read_bytes() == before
    rejected = pq.read_table(layout.table("rejects", 0)).to_pylist()
    assert [(row["image_id"], row["reason"]) for row in rejected] == [("image 4", "all_filtered")]
    of_it = [row for row in pq.read_table(path).to_pylist() if row["image_id"] == "image 4"]
    assert [(row["key"], row["problem"]) for row in of_it] == [(None, None)] * 4


def test_the_dataset_is_the_same_with_and_without_a_verifier(at_once, mined):
    for kind in ("candidates", "manifests"):
        [with_one, without] = [
            pq.read_table(layout.table(kind, 0)).drop_columns(["image_uri"]) for layout in (at_once, mined)
        ]
        assert with_one.equals(without)


def test_verifiers_join_one_after_the_other_in_any_order(mined, clips):
    together = verify(mined, clips, "second", "third").read_bytes()
    for order in (["second", "third"], ["third", "second"]):
        Path(mined.table("verified", 0)).unlink()
        for name in order:
            path = verify(mined, clips, name)
        assert path.read_bytes() == together
    assert pq.read_schema(path).names[len(schemas.VERIFIED) :: 5] == ["second_score", "third_score"]


def test_images_that_are_gone_or_changed_have_nulls_and_a_reason(mined, clips):
    images = Path(mined.uri).parent / "images"
    whole = pq.read_table(verify(mined, clips, "second")).to_pylist()
    (images / "1.jpg").unlink()
    PIL.Image.new("RGB", (40, 30), "red").save(images / "2.jpg")
    (images / "3.jpg").write_bytes(b"")
    Path(mined.table("verified", 0)).unlink()
    rows = pq.read_table(verify(mined, clips, "second")).to_pylist()
    problems = {"image 1": "missing_file", "image 2": "changed", "image 3": "empty_file"}
    for row, before in zip(rows, whole, strict=True):
        if problem := problems.get(row["image_id"]):
            assert row["problem"] == problem
            assert {row[f"second_{name}"] for name in schemas.VERIFIER_COLUMNS} == {None}
            assert row["key"] == before["key"]
        else:  # to the last bit
            assert row == before
    # A second one that sees all images leaves what is known as it is.
    both = pq.read_table(verify(mined, clips, "third")).to_pylist()
    assert [row["second_score"] for row in both] == [row["second_score"] for row in rows]


def test_an_image_that_kills_workers_costs_its_opinion_alone(mined, clips):
    def announce(image: int) -> None:
        if image == 2:
            raise ImageProblem("kills_worker")

    rows = pq.read_table(verify(mined, clips, "second", announce=announce)).to_pylist()
    assert {row["image_id"] for row in rows if row["problem"] == "kills_worker"} == {"image 2"}
    assert {row["image_id"] for row in rows if row["second_score"] is None} == {"image 2"}


def test_what_lacks_a_verifier_is_due(mined, clips):
    assert unverified(mined, 0, {"second": ABOUT}) == ["second"]
    verify(mined, clips, "second")
    assert unverified(mined, 0, {"second": ABOUT, "third": ABOUT}) == ["third"]
    with pytest.raises(UserError, match=r"verify\[0\]\.name.*holds the opinion of another second.*templates"):
        unverified(mined, 0, {"second": ABOUT | {"templates": ["a {}"]}})
    path = Path(mined.table("verified", 0))
    path.write_bytes(path.read_bytes()[:-30])
    assert unverified(mined, 0, {"second": ABOUT}) == ["second"]
