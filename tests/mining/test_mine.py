"""Mining on real Ray: the contracts of the output directory."""

import io
import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import webdataset
import yaml
from PIL import Image

import schemas
from pipeline.clip import TextEmbedder, load_clip
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.inspection.verify import repair, verify
from pipeline.masks import rle
from pipeline.mining.config import ResourcesConfig
from pipeline.mining.matching import MatchingConfig
from pipeline.mining.run import MiningError, mine
from pipeline.nouns import NounsConfig
from pipeline.regions import masked_regions
from tests.mining.configs import dataset_bytes, mine_config
from tests.ray_metrics import figure, wait_for_figures

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


# Nouns of captions that no region shows.
NOT_SHOWN = {"picture", "photo", "side", "day", "view", "scene", "front", "top", "middle", "background"}


def first_captions(world: Path) -> dict[int, dict]:
    """By image, the caption that mining uses by default."""
    found = {}
    for annotation in json.loads((world / "captions.json").read_text())["annotations"]:
        found.setdefault(annotation["image_id"], annotation)
    return found


def manifest(folder: Path) -> list[dict]:
    return pq.read_table(folder / "manifests").to_pylist()


def samples(folder: Path) -> list[dict]:
    tars = sorted(map(str, (folder / "shards").glob("*.tar")))
    return list(webdataset.WebDataset(tars, shardshuffle=False))


def test_every_noun_of_every_image_has_exactly_its_best_region(mined, world, small_clip):
    """Against one region at a time, without any of the mining code."""
    clip = load_clip(small_clip)
    panoptic = json.loads((world / "panoptic.json").read_text())
    known = {category["name"] for category in panoptic["categories"]} | NOT_SHOWN
    rows = manifest(mined)
    embed = TextEmbedder(clip, "vild")
    for entry in panoptic["annotations"][:8]:
        image = entry["image_id"]
        found = [row for row in rows if row["image_id"] == str(image)]
        words = first_captions(world)[image]["caption"].split()
        expected = list(dict.fromkeys(word for word in words if word in known))
        assert [row["noun"] for row in found] == expected
        pixels_HW3 = np.asarray(Image.open(world / "images" / f"{image:012d}.jpg"))
        ids = np.asarray(Image.open(world / "panoptic" / entry["file_name"]))[..., 0]
        masks = rle.encode(np.stack([ids == segment["id"] for segment in entry["segments_info"]]))
        features = []
        for counts in masks:
            mask = rle.decode([counts], *ids.shape)
            pixels, *_ = masked_regions(
                torch.from_numpy(pixels_HW3.transpose(2, 0, 1).copy()), torch.from_numpy(mask).float(), size=32
            )
            features.append(clip.vision(pixels)[0])
        cosine = torch.nn.functional.normalize(torch.stack(features), dim=1) @ embed(expected).T
        for column, row in enumerate(found):
            assert row["clip_score"] == pytest.approx(cosine[:, column].max().item(), abs=2e-5)
            assert row["mask_rle"].encode() == masks[int(cosine[:, column].argmax())]
            assert row["caption"][row["char_start"] : row["char_end"]] == row["surface"]


ABSENT = {pa.float32(): 2.0, pa.int32(): -1, pa.int64(): -1, pa.string(): "", pa.list_(pa.string()): []}
"""What stands in a sample's JSON where the manifest has null."""


def test_samples_are_the_manifests_rows_and_cut_the_image(mined, world):
    rows = {row["key"]: row for row in manifest(mined)}
    read = samples(mined)
    assert [sample["__key__"] for sample in read] == list(rows)
    for sample in read:
        row = rows[sample["__key__"]]
        details = json.loads(sample["json"])
        jsonschema.validate(details, schemas.sample_schema())
        for name, value in row.items():
            if name not in ("tar_offset", "tar_length", "crc32"):
                of_null = ABSENT[schemas.MANIFEST.field(name).type]
                expected = of_null if value is None else value
                assert details[name] == (pytest.approx(expected) if of_null == 2.0 else expected), name
        assert row["image_bytes"] == (world / "images" / f"{int(row['image_id']):012d}.jpg").stat().st_size
        assert sample["txt"].decode() == row["noun"]
        x0, y0, x1, y1 = (details[f"crop_{edge}"] for edge in ("x0", "y0", "x1", "y1"))
        [mask] = rle.decode([row["mask_rle"].encode()], row["image_height"], row["image_width"])
        assert (np.asarray(Image.open(io.BytesIO(sample["mask.png"]))) == mask[y0:y1, x0:x1]).all()
        assert mask.sum() == row["mask_area"] > 0
        image = np.asarray(Image.open(world / "images" / f"{int(row['image_id']):012d}.jpg")).astype(int)
        crop = np.asarray(Image.open(io.BytesIO(sample["jpg"]))).astype(int)
        assert np.abs(crop - image[y0:y1, x0:x1]).mean() < 4


def test_tables_have_their_schemas_and_nothing_disappears(mined):
    for table, schema in (
        ("captions", schemas.CAPTIONS),
        ("manifests", schemas.MANIFEST),
        ("candidates", schemas.CANDIDATES),
        ("rejects", schemas.REJECTS),
    ):
        for path in (mined / table).iterdir():
            assert pq.read_schema(path).equals(schema), path
    dataset = json.loads((mined / "dataset.json").read_text())
    images = {row["image_id"] for row in manifest(mined)}
    assert dataset["images"] == 24 == dataset["images_with_pairs"] + sum(dataset["rejected"].values())
    assert dataset["images_with_pairs"] == len(images)
    assert dataset["pairs"] == len(manifest(mined))
    nouns = Counter(row["noun"] for row in manifest(mined))
    assert dataset["nouns"] == len(nouns)
    assert dataset["top_nouns"] == {noun: nouns[noun] for noun in dataset["top_nouns"]}
    assert sorted(dataset["top_nouns"].values()) == sorted(count for _, count in nouns.most_common(20))
    assert not (mined / "attempts").exists() or not list((mined / "attempts").iterdir())


def test_all_captions_are_kept_and_the_first_was_used(mined, world):
    listed = json.loads((world / "captions.json").read_text())["annotations"]
    rows = pq.read_table(mined / "captions").to_pylist()
    for row in rows:
        captions = [each["caption"] for each in listed if str(each["image_id"]) == row["image_id"]]
        assert row["captions"] == captions
        assert row["captions_used"] == len(row["caption_problems"]) == 1 < len(captions)
        assert {noun["caption_index"] for noun in row["nouns"]} <= {0}


def test_vocabulary_counts_images(mined, world):
    table = pq.read_table(mined / "vocabulary.parquet").to_pylist()
    captions = [annotation["caption"].split() for annotation in first_captions(world).values()]
    for row in table:
        assert row["images"] == sum(row["noun"] in words for words in captions)
        assert np.linalg.norm(row["embedding"]) == pytest.approx(1, abs=1e-5)
    assert [row["images"] for row in table] == sorted((row["images"] for row in table), reverse=True)


def test_candidates_hold_the_pairs_at_rank_zero(mined):
    candidates = pq.read_table(mined / "candidates").to_pylist()
    best = {(row["image_id"], row["noun"]): row for row in candidates if row["rank"] == 0}
    assert len(best) == len(manifest(mined))
    for row in manifest(mined):
        assert best[row["image_id"], row["noun"]]["clip_score"] == row["clip_score"]


@pytest.fixture(scope="module")
def mined_by_two(world, small_clip, tmp_path_factory) -> Path:
    """What two workers of each kind mine from `world`; their figures are in this process's Ray."""
    config = mine_config(
        world,
        small_clip,
        tmp_path_factory.mktemp("mined_by_two"),
        resources=ResourcesConfig(clip_workers=2, proposal_workers=2),
    )
    mine(config)
    return Path(config.output)


def test_the_number_of_workers_does_not_change_a_byte(mined, mined_by_two):
    assert dataset_bytes(mined_by_two) == dataset_bytes(mined)


def test_figures_count_what_was_written(mined_by_two):
    statistics = [json.loads(path.read_text()) for path in (mined_by_two / "statistics").iterdir()]
    shards = 4
    assert len(statistics) == shards
    rejects = Counter(
        (row["stage"], row["reason"])
        for row in pq.read_table(mined_by_two / "rejects").to_pylist()
        if row["caption_index"] is None
    )
    expected = {
        figure("images_total"): 24.0,
        figure("shards_total"): float(shards),
        figure("pairs_total"): float(len(manifest(mined_by_two))),
        figure("regions_total"): float(sum(shard["regions"] for shard in statistics)),
        **{
            figure("stage_seconds_count", stage=stage): float(shards)
            for stage in ("nouns", "images", "proposals", "matching", "writing")
        },
        **{
            figure("rejects_total", stage=stage, reason=reason): float(count)
            for (stage, reason), count in rejects.items()
        },
    }
    figures = wait_for_figures(str(mined_by_two), expected)
    assert figures | expected == figures
    assert not [name for name, _ in figures if name.startswith(("failures", "gpu_busy", "training"))]


@pytest.fixture
def copy(mined, tmp_path) -> Path:
    """A copy of the mined dataset, to damage."""
    return shutil.copytree(mined, tmp_path / "copy")


def test_running_again_changes_nothing_and_lost_shards_come_back(copy, world, small_clip):
    config = mine_config(world, small_clip, copy)
    before = dataset_bytes(copy)
    times = {path: path.stat().st_mtime_ns for path in (copy / "shards").iterdir()}
    mine(config)
    assert {path: path.stat().st_mtime_ns for path in (copy / "shards").iterdir()} == times

    # A shard without a manifest is not committed, whatever lies in its tar.
    (copy / "manifests" / "000001.parquet").unlink()
    (copy / "shards" / "000001.tar").write_bytes(b"half a shard")
    (copy / "shards" / "000002.tar").write_bytes(b"kept: its manifest is there")
    # The listing is what workers read: one flipped bit in it, and it is written again before they do.
    listing = copy / "listing" / "000000.parquet"
    listed = listing.read_bytes()
    listing.write_bytes(listed[:1000] + bytes([listed[1000] ^ 1]) + listed[1001:])
    (copy / "listing" / "notes.txt").write_text("somebody's")
    assert [damage.file for damage in verify(str(copy)) if damage.file == "listing"] == ["listing"]
    mine(config)
    assert listing.read_bytes() == listed
    assert (copy / "listing" / "notes.txt").exists()
    after = dataset_bytes(copy)
    assert after.pop("shards/000002.tar") == b"kept: its manifest is there"
    before.pop("shards/000002.tar")
    assert after == before


def test_a_resumed_job_refuses_images_that_changed(copy, world, small_clip):
    """As if one image of a committed shard had been another file then."""
    (copy / "manifests" / "000001.parquet").unlink()
    table = pq.read_table(copy / "manifests" / "000002.parquet")
    first = table["image_id"][0].as_py()
    sizes = [row["image_bytes"] + (row["image_id"] == first) for row in table.to_pylist()]
    column = table.schema.get_field_index("image_bytes")
    table = table.set_column(column, table.schema.field("image_bytes"), pa.array(sizes, pa.int64()))
    pq.write_table(table, copy / "manifests" / "000002.parquet")
    before = dataset_bytes(copy)
    image = f"{int(first):012d}.jpg"
    said = rf"captions\.images: 1 images of 1 .* 3 committed.*\n.*{image}: \d+ bytes instead"
    with pytest.raises(UserError, match=said):
        mine(mine_config(world, small_clip, copy))
    assert dataset_bytes(copy) == before


def test_verify_finds_damage_and_repair_makes_it_due(copy, world, small_clip):
    before = dataset_bytes(copy)
    assert verify(str(copy)) == []
    tar = copy / "shards" / "000000.tar"
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    (copy / "candidates" / "000001.parquet").unlink()
    (copy / "manifests" / "000002.parquet").write_bytes(b"PAR1")
    (copy / "captions" / "000003.parquet").write_bytes(b"")
    damages = verify(str(copy))
    assert {damage.file for damage in damages} == {
        "shards/000000.tar", "candidates/000001.parquet", "manifests/000002.parquet", "captions/000003.parquet",
    }  # fmt: skip
    assert repair(str(copy), damages) == [0, 1, 2, 3]
    assert not (copy / "dataset.json").exists()
    mine(mine_config(world, small_clip, copy))
    assert dataset_bytes(copy) == before
    assert verify(str(copy)) == []


def test_another_configuration_is_refused_with_the_differences(mined, world, small_clip):
    config = mine_config(world, small_clip, mined, matching=MatchingConfig(candidates=3))
    before = dataset_bytes(mined)
    with pytest.raises(UserError, match=r"matching\.candidates: 5 → 3"):
        mine(config)
    with pytest.raises(UserError, match=r"source\.images: 24 → 7"):
        mine(replace(config, matching=MatchingConfig(), limit=7))
    assert dataset_bytes(mined) == before


def test_shards_without_a_configuration_are_not_adopted(world, small_clip, tmp_path):
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "000000.parquet").write_bytes(b"somebody's")
    with pytest.raises(UserError, match=r"holds manifests/000000\.parquet but no config\.yaml"):
        mine(mine_config(world, small_clip, tmp_path))


def test_config_says_what_ran(mined):
    config = yaml.safe_load((mined / "config.yaml").read_text())
    assert config["models"]["nouns"]["name"]
    assert len(config["models"]["clip"]["sha256"]) == 64
    assert len(config["models"]["proposals"]["annotations_sha256"]) == 64
    assert config["versions"]["ray"].startswith("2.")
    assert config["configuration"]["clip"]["templates"] == "vild"


def test_too_many_rejects_stop_the_job_until_they_are_allowed(world, small_clip, tmp_path):
    config = mine_config(
        world, small_clip, tmp_path, nouns=NounsConfig(max_vocabulary=1), matching=MatchingConfig(min_area=6000)
    )
    with pytest.raises(MiningError, match=r"max_reject_fraction = 0\.2: (vocabulary: no_noun_kept|matching: all_fil)"):
        mine(config)
    assert not (tmp_path / "dataset.json").exists()

    dataset = mine(replace(config, max_reject_fraction=1.0))
    assert dataset["nouns"] == 1
    assert set(dataset["rejected"]) <= {"vocabulary: no_noun_kept", "matching: all_filtered"}
    assert all(row["mask_area"] >= 6000 for row in manifest(tmp_path))
    assert dataset["images"] == dataset["images_with_pairs"] + sum(dataset["rejected"].values())


def test_all_captions_overwrite_the_pairs_of_the_first_with_more(copy, mined, world, small_clip, tmp_path):
    (copy / "notes.txt").write_text("mine")
    captions = json.loads((world / "captions.json").read_text())
    extra = [
        {"id": 1000 + a["id"], "image_id": a["image_id"], "caption": "A castle beside a river."}
        for a in first_captions(world).values()
    ]
    captions["annotations"] = [*first_captions(world).values(), *extra]
    (tmp_path / "captions.json").write_text(json.dumps(captions))
    config = mine_config(world, small_clip, copy, captions_per_image="all")
    config = replace(config, captions=replace(config.captions, path=str(tmp_path / "captions.json")), limit=7)
    mine(config, overwrite=True)
    assert (copy / "notes.txt").read_text() == "mine"
    assert json.loads((copy / "dataset.json").read_text())["images"] == 7
    assert len(list((copy / "shards").iterdir())) == 2
    one = {(row["image_id"], row["noun"]) for row in manifest(mined) if int(row["image_id"]) <= 7}
    every = {(row["image_id"], row["noun"]): row for row in manifest(copy)}
    assert every.keys() == one | {(image, noun) for image, _ in one for noun in ("castle", "river")}
    assert every["1", "castle"]["caption_index"] == 1


def test_a_gpu_that_is_not_there_is_said_at_once(world, small_clip, tmp_path):
    config = mine_config(world, small_clip, tmp_path, resources=ResourcesConfig(clip_gpus=1))
    with pytest.raises(UserError, match=r"resources\.clip_gpus is 1.* 0 GPUs"):
        mine(config)
    assert not Layout(str(tmp_path)).committed()
