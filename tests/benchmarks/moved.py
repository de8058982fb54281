"""What a step costs by what it moves: time against full finetuning, and memory of the optimiser.

    python -m tests.benchmarks.moved --architecture ViT-B-32 --batch-size 8 --rounds 5

Every round takes a step of each kind, one after the other, so that a busy machine slows all of them. Targets: a step of
query and value, or of LoRA, takes no longer than one of all; the optimiser of LoRA keeps a tenth of what that of all
keeps.
"""

import argparse
import statistics
import time

import torch

from pipeline.clip import load_clip
from pipeline.training.config import FullConfig, TrainConfig
from pipeline.training.losses import RegionLoss
from pipeline.training.optimizer import make_optimizer, state_bytes
from pipeline.training.phases import Phase, prepare
from pipeline.training.ranks import Ranks
from pipeline.training.step import Step

KINDS = ("all", "attention_qv", "attention", "last_blocks", "lora")
NOUNS = 100


class Kind:
    """A CLIP of which some weights move."""

    def __init__(self, parameters: str, architecture: str, device: str):
        config = TrainConfig(dataset="", output="", mode="full", full=FullConfig(parameters=parameters))
        precision = "bf16" if device == "cuda" else "fp32"
        self._clip = load_clip(architecture, "random", device=device, precision=precision)
        self._optimizer = make_optimizer(prepare(self._clip, Phase("full", config.full, 1), config), config.full)
        nouns_ND = torch.nn.functional.normalize(torch.randn(NOUNS, self._clip.model_cfg["embed_dim"]), dim=-1)
        self._step = Step(
            self._clip.vision,
            RegionLoss("classification", nouns_ND.to(device), self._clip.logit_scale, Ranks()),
            autocast=self._clip.autocast,
            scaler=torch.amp.GradScaler(device, enabled=False),
            micro_batch_size=None,
            original=None,
            distillation=0.0,
        )

    def step(self, batch_size: int) -> float:
        """Seconds of a step and its update."""
        size, device = self._clip.input.size, self._clip.device
        batch = {
            "pixels": torch.randn(batch_size, 3, size, size, device=device),
            "masks": torch.ones(batch_size, 1, size, size, dtype=torch.bool, device=device),
            "nouns": torch.arange(batch_size) % NOUNS,
            "unmasked": torch.zeros(batch_size, dtype=torch.bool),
        }
        _wait(device)
        started = time.perf_counter()
        self._optimizer.zero_grad()
        self._step(batch)
        self._optimizer.step()
        _wait(device)
        return time.perf_counter() - started

    @property
    def kept(self) -> int:
        """Bytes of the optimiser."""
        return state_bytes(self._optimizer)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Print the median over rounds of each kind's time as a share of that of all, and the optimiser's memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="ViT-B-32")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    kinds = {name: Kind(name, options.architecture, device) for name in KINDS}
    for kind in kinds.values():
        kind.step(options.batch_size)
    rounds = [{name: kind.step(options.batch_size) for name, kind in kinds.items()} for _ in range(options.rounds)]
    print(f"{options.architecture}, steps of {options.batch_size}, {device}, median of {options.rounds} rounds")
    for name, kind in kinds.items():
        ratio = statistics.median(taken[name] / taken["all"] for taken in rounds)
        share = kind.kept / kinds["all"].kept
        print(f"{name}: step ÷ all {ratio:.2f}; optimiser {kind.kept / 1e6:.1f} MB, {share:.1%} of all")


if __name__ == "__main__":
    main()
