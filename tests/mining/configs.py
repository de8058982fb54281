"""Configurations of small mining jobs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.captions import CaptionsConfig
from pipeline.clip import ClipConfig
from pipeline.dataset.shards import ShardsConfig
from pipeline.mining.config import MineConfig, ResourcesConfig
from pipeline.proposals import ProposalsConfig


def mine_config(world: Path, small_clip: str, output: Path | str, **changes: Any) -> MineConfig:
    """Six images a shard, ground-truth masks, the small CLIP."""
    config = MineConfig(
        captions=CaptionsConfig(format="coco", path=str(world / "captions.json"), images=str(world / "images")),
        output=str(output),
        clip=ClipConfig(architecture=small_clip, weights=None, batch_size=16),
        proposals=ProposalsConfig(
            backend="ground_truth",
            options={"annotations": str(world / "panoptic.json")},
        ),
        shards=ShardsConfig(images_per_shard=6),
        resources=ResourcesConfig(clip_workers=1, proposal_workers=1),  # on two cores a second one only starts slower
    )
    return replace(config, **changes)


def command_line(world: Path, small_clip: str, output: str) -> list[str]:
    """The same job as arguments of `python -m jobs.mine`."""
    return [
        "--captions.format=coco",
        f"--captions.path={world / 'captions.json'}",
        f"--captions.images={world / 'images'}",
        f"--output={output}",
        f"--clip.architecture={small_clip}",
        "--clip.weights=null",
        "--clip.batch_size=16",
        "--proposals.backend=ground_truth",
        f"--proposals.options.annotations={world / 'panoptic.json'}",
        "--shards.images_per_shard=6",
        "--resources.clip_workers=1",
        "--resources.proposal_workers=1",
    ]


def dataset_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of a dataset that has to be the same in every run, by relative path."""
    kept = ("captions", "shards", "manifests", "candidates", "proposals", "rejects", "hashes", "vocabulary.parquet")
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).parts[0] in kept
    }


def files_in(folder: Path) -> int:
    """Files of the dataset that are there; records of attempts and half-written files do not count."""
    return sum(
        path.is_file() and not path.name.startswith(".") and path.parent.name != "attempts"
        for path in list(folder.rglob("*"))
    )
