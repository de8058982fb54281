"""PQ and AP through the tables of chunks: true masks with true names are perfect, and what CLIP says is counted."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipeline.clip import ClipConfig
from pipeline.evaluation.chunk import evaluate_chunk, tables_of
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets import DatasetConfig, SegmentationDataset, open_dataset
from pipeline.evaluation.datasets.coco_panoptic import CocoPanoptic
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.evaluation.datasets.instance_images import InstanceImages
from pipeline.evaluation.object_branches import masks_of_ids
from pipeline.evaluation.object_scores import object_score_table, objects_result, read_objects
from pipeline.evaluation.object_tables import OBJECT_TABLES
from pipeline.microworld.world import write_world
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.loading import load_segmenter


def evaluated(
    dataset: SegmentationDataset, tiny_folder: Path, proposals: ProposalsConfig, chunk: int = 4, **segmentation
) -> tuple[dict, list[dict[str, pa.Table]]]:
    """What the job says of objects, and the tables that it is made of."""
    config = EvaluateConfig(
        dataset=DatasetConfig("folder", "nowhere"),
        output="nowhere",
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None, batch_size=64),
        proposals=proposals,
        segmentation=SegmentationConfig(templates="none", **segmentation),
        gpus=0,
    ).resolved()
    segmenter = load_segmenter(config, dataset.classes, gpu=False)
    ids = dataset.image_ids
    chunks = [evaluate_chunk(dataset, segmenter, ids[start : start + chunk]) for start in range(0, len(ids), chunk)]
    for tables in chunks:
        assert set(tables) == set(tables_of(dataset))
        for name, schema in OBJECT_TABLES.items():
            assert tables[name].schema.equals(schema)

    def read(name: str, branches: Sequence[str] | None) -> pa.Table:
        whole = pa.concat_tables([tables[name] for tables in chunks])
        return whole if branches is None else whole.filter(pc.is_in(whole["branch"], pa.array(branches)))

    evaluation = read_objects(len(dataset.classes), dataset.objects, read)
    table = object_score_table(evaluation, dataset.objects, dataset, {})
    result = objects_result(evaluation, dataset.objects, len(dataset.classes))
    result["classes"] = table.to_pylist()
    return result, chunks


def exactly(annotations: Path, **options) -> ProposalsConfig:
    """All annotated objects, however small, large or overlapping."""
    limits = {"min_area": 0.0, "max_area": 1.0, "max_iou": 1.0, "max_proposals": 10_000}
    return ProposalsConfig("ground_truth", **limits, options={"annotations": str(annotations), **options})


@pytest.fixture(scope="module")
def micro(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("micro")
    write_world(folder, 6, seed=9)
    return folder


def test_a_micro_world(micro, tiny_folder):
    dataset = open_dataset(DatasetConfig("micro_world", str(micro)))
    result, chunks = evaluated(dataset, tiny_folder, exactly(micro / "panoptic.json"))
    for kind in ("all", "things", "stuff"):
        assert result["panoptic"]["oracle"][kind]["pq"] == 1.0
    assert result["instances"]["oracle"]["ap"] == pytest.approx(1.0, abs=1e-12)
    # With the true masks as proposals, both ask CLIP of the same masks.
    assert result["panoptic"]["clip"] == result["panoptic"]["true_masks"]
    assert result["instances"]["clip"]["ap"] <= result["instances"]["true_masks"]["ap"]  # which are of things alone
    assert 0 <= result["panoptic"]["clip"]["all"]["pq"] < 1
    assert list(result["panoptic"]) == list(result["instances"]) == ["clip", "oracle", "true_masks"]
    shown = [row for row in result["classes"] if row["branch"] == "oracle"]
    assert [row["name"] for row in shown] == [names[0] for names in dataset.classes]
    assert {row["pq"] for row in shown if row["segments"]} == {1.0}
    assert all(row["ap"] == pytest.approx(1.0, abs=1e-12) for row in shown if row["instances"])
    assert {row["thing"] for row in shown if row["instances"]} == {True}
    another, _ = evaluated(dataset, tiny_folder, exactly(micro / "panoptic.json"), chunk=1)
    assert another == result
    matches = sum(pc.sum(tables["panoptic"].filter(pc.field("branch") == "oracle")["tp"]).as_py() for tables in chunks)
    assert result["objects"]["segments"] == matches


def test_options_bound_what_is_found(micro, tiny_folder):
    dataset = open_dataset(DatasetConfig("micro_world", str(micro)))
    proposals = exactly(micro / "panoptic.json")
    _, chunks = evaluated(dataset, tiny_folder, proposals, max_instances=2)
    per_image = pa.concat_tables([tables["detections"] for tables in chunks]).group_by(["branch", "image_id"])
    assert max(per_image.aggregate([("label", "count")])["label_count"].to_pylist()) == 2
    result, _ = evaluated(dataset, tiny_folder, proposals, object_threshold=0.999)
    assert result["panoptic"]["clip"]["all"]["pq"] == 0.0
    assert result["panoptic"]["oracle"]["all"]["pq"] == 1.0


def test_images_without_proposals_miss_everything(micro, tiny_folder):
    dataset = open_dataset(DatasetConfig("micro_world", str(micro)))
    proposals = replace(exactly(micro / "panoptic.json"), min_area=0.99)
    result, _ = evaluated(dataset, tiny_folder, proposals)
    assert result["panoptic"]["oracle"]["all"]["pq"] == result["instances"]["oracle"]["ap"] == 0.0


@pytest.mark.slow
def test_panoptic_segments_of_coco(coco_sample, tiny_folder):
    files = Distribution(str(coco_sample), "the sample")
    annotations = "annotations/panoptic.json"
    dataset = CocoPanoptic("coco-sample", files, "images", annotations, "annotations/panoptic", "none.json")
    assert len(dataset.objects.things) == 80
    result, _ = evaluated(dataset, tiny_folder, exactly(coco_sample / annotations))
    for kind in ("all", "things", "stuff"):
        assert result["panoptic"]["oracle"][kind]["pq"] == 1.0
    assert result["objects"]["crowd_segments"] > 0
    assert result["objects"]["segments_without_pixels"] == result["objects"]["segments_of_other_area"] == 0
    assert "instances" not in result


@pytest.mark.slow
def test_instances_of_coco(coco_sample, tiny_folder):
    files = Distribution(str(coco_sample), "the sample")
    dataset = InstanceImages("coco-sample", files, "annotations/instances.json", "images")
    result, chunks = evaluated(dataset, tiny_folder, exactly(coco_sample / "annotations/instances.json"))
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
    assert result["instances"]["oracle"] == pytest.approx(dict.fromkeys(names, 1.0), abs=1e-12)
    assert result["objects"]["crowd_instances"] > 0
    assert "panoptic" not in result
    # Without labels of pixels, the regions that CLIP names are the objects.
    assert sum(len(tables["regions"]) for tables in chunks) == result["objects"]["instances"]
    assert sum(len(tables["confusion"]) for tables in chunks) == 0


def test_masks_of_ids():
    ids = np.random.default_rng(0).choice([0, 1, 3, 4], (9, 13)).astype(np.int32)
    masks = masks_of_ids(ids, 5)
    assert (masks.decode() == (ids == np.arange(1, 6)[:, None, None])).all()
    assert masks.areas.tolist() == [(ids == number).sum() for number in range(1, 6)]
    assert len(masks_of_ids(np.zeros((2, 3), np.int32), 0)) == 0
