"""Mining real COCO images with a CLIP that knows what is on them: the named regions are cut out."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.dataset.shards import ShardsConfig
from pipeline.mining.config import MineConfig
from pipeline.mining.run import mine
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.ground_truth import all_annotated
from pipeline.quality import measure_pairs
from tests.small_clip import build_small_clip

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("ray_cluster")]


def test_nouns_that_name_an_object_get_its_mask(coco_sample: Path, tmp_path: Path):
    """No weights can be had offline, so a small CLIP first learns these very objects by their category names."""
    annotations = coco_sample / "annotations" / "instances.json"
    torch.set_num_threads(1)
    build_small_clip(annotations, coco_sample / "images", tmp_path / "clip", image_size=64, steps=500)
    config = MineConfig(
        captions=CaptionsConfig(
            format="coco",
            path=str(coco_sample / "annotations" / "captions.json"),
            images=str(coco_sample / "images"),
        ),
        captions_per_image="all",
        output=str(tmp_path / "mined"),
        max_reject_fraction=0.5,  # 45 of the images have no instances
        proposals=ProposalsConfig(backend="ground_truth", options={"annotations": str(annotations)}),
        clip=ClipConfig(architecture=f"local-dir:{tmp_path / 'clip'}", weights=None),
        shards=ShardsConfig(images_per_shard=33),
    )
    dataset = mine(config)
    assert dataset["images"] == 132
    without_objects = 132 - len({a["image_id"] for a in json.loads(annotations.read_text())["annotations"]})
    rejected = (dataset["rejected"].get(f"proposals: {reason}", 0) for reason in ("no_objects", "not_annotated"))
    assert sum(rejected) >= without_objects
    rows = pq.read_table(tmp_path / "mined" / "manifests").to_pylist()
    result = measure_pairs(rows, all_annotated(str(annotations)))
    print(result, result.precision, result.chance)
    assert result.judged > 100
    assert result.chance < 0.5
    assert result.precision > 0.85
