"""Evaluated images that are in the bank: left out, and told."""

import hashlib
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline.bank import BankConfig
from pipeline.bank.description import read_description
from pipeline.clip import ClipConfig, RegionEncoder
from pipeline.evaluation.bank_leakage import bank_leakage, image_identities
from pipeline.evaluation.branches import true_masks
from pipeline.evaluation.chunk import evaluate_chunk
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig, open_dataset
from pipeline.evaluation.datasets.contents import file_digests
from pipeline.evaluation.fusion_search import search_dataset
from pipeline.microworld.world import write_world
from pipeline.proposals import ProposalsConfig
from pipeline.regions import RegionsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.loading import load_segmenter
from tests.bank import banks
from tests.bank.banks import CLIP, unit, write_bank


@pytest.fixture
def job(tiny, tiny_folder, tmp_path, monkeypatch):
    """Three scenes, and a bank that holds the true regions of the first, and something of every class."""
    write_world(tmp_path / "world", 3, seed=2)
    dataset = open_dataset(DatasetConfig(kind="micro_world", root=str(tmp_path / "world")))
    first = dataset.image_ids[0]
    sample = dataset.read(first)
    present, truth = true_masks(sample.labels)
    [(_, features_VD, _)] = RegionEncoder(tiny, RegionsConfig(), 8).encode([(sample.image, truth.masks, None)])
    names = [names[0] for names in dataset.classes]
    nouns = [names[present[0]], names[present[1]], *names]
    entries = np.concatenate([features_VD[:2], unit(np.random.default_rng(0).normal(size=(len(names), 32)))])
    clip = replace(CLIP, vision_sha256=tiny.vision_weights_sha256(), text_sha256=tiny.text_weights_sha256())
    sha256 = hashlib.sha256(dataset.files.content(dataset.paths_of(first)[0])).hexdigest()
    column = pa.table({"image_sha256": [sha256] * 2 + ["another"] * len(names)})["image_sha256"]
    made = banks.write_arrow

    def with_sha256(table: pa.Table, bank: str, file: str):
        if "image_sha256" in table.column_names:
            index = table.schema.get_field_index("image_sha256")
            table = table.set_column(index, table.schema.field(index), column)
        return made(table, bank, file)

    monkeypatch.setattr(banks, "write_arrow", with_sha256)
    write_bank(tmp_path / "bank", entries, nouns, clip=clip)
    config = EvaluateConfig(
        dataset=DatasetConfig(kind="micro_world", root=str(tmp_path / "world")),
        output=str(tmp_path / "evaluated"),
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None, batch_size=8),
        proposals=ProposalsConfig(
            "ground_truth", max_area=1.0, options={"annotations": str(tmp_path / "world" / "panoptic.json")}
        ),
        segmentation=SegmentationConfig(
            templates="none",
            bank=BankConfig(path=str(tmp_path / "bank"), neighbours=1, min_similarity=0.999, weight=1.0),
        ),
        gpus=0,
    ).resolved()
    return config, dataset


def allowing(config: EvaluateConfig, **changes) -> EvaluateConfig:
    bank = replace(config.segmentation.bank, **changes)
    return replace(config, segmentation=replace(config.segmentation, bank=bank))


def regions(config, dataset, digests) -> list[dict]:
    ids = dataset.image_ids
    identities = image_identities(dataset, ids, [digests[image][0] for image in ids])
    segmenter = load_segmenter(config, dataset.classes, gpu=False)
    return evaluate_chunk(dataset, segmenter, ids, identities)["regions"].to_pylist()


def test_regions_of_evaluated_images_do_not_vote_for_them(job):
    config, dataset = job
    digests = file_digests(dataset, dataset.image_ids)
    alone = regions(allowing(config, path=None), dataset, digests)
    assert regions(config, dataset, digests) == alone
    leaking = regions(allowing(config, same_image="allow"), dataset, digests)
    assert leaking != alone
    assert [row["rank"] for row in leaking[:2]] == [0, 0]  # told by the bank
    assert leaking[2:] == alone[2:]


def test_how_many_there_are_is_told(job, capsys):
    config, dataset = job
    digests = file_digests(dataset, dataset.image_ids)
    assert bank_leakage(BankConfig(), dataset, digests) is None
    sha256 = read_description(config.segmentation.bank.path, "key").sha256
    expected = {
        "sha256": sha256,
        "entries": 2 + len(dataset.classes),
        "weight": 1.0,
        "neighbours": 1,
        "same_image": "exclude",
        "images_in_bank": 1,
        "bank_images_without_sha256": 0,
    }
    assert bank_leakage(config.segmentation.bank, dataset, digests) == expected
    assert "1 of the 3 evaluated images are in the bank; their own regions did not vote" in capsys.readouterr().err
    allowed = allowing(config, same_image="allow").segmentation.bank
    assert bank_leakage(allowed, dataset, digests)["same_image"] == "allow"
    assert "their own regions voted (segmentation.bank.same_image: allow)" in capsys.readouterr().err
    others = {image: digests[image] for image in dataset.image_ids[1:]}
    assert bank_leakage(config.segmentation.bank, dataset, others)["images_in_bank"] == 0
    assert capsys.readouterr().err == ""


def test_the_search_for_a_weight_leaves_them_out_too(job):
    config, _ = job
    found = [search_dataset(one, [1.0], [0.5])[0].miou for one in (config, allowing(config, path=None))]
    assert found[0] == found[1]
    assert search_dataset(allowing(config, same_image="allow"), [1.0], [0.5])[0].miou != found[0]
