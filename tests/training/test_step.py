"""A step's gradients do not depend on how the batch is cut: into micro-batches, or over ranks."""

import contextlib
from itertools import product
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipeline.training.losses import RegionLoss
from pipeline.training.ranks import Ranks
from pipeline.training.step import Step

BATCH, WIDTH, NOUNS, TEXTS = 8, 4, 5, 11
KINDS = ["contrastive", "multi_positive", "classification"]
OPTIONS = ((), ("weights",), ("negatives",), ("weights", "negatives"))
CASES = KINDS, (None, 2), OPTIONS
"""Kinds, sizes of micro-batches, and what pairs have besides a noun."""


class Tower(torch.nn.Module):
    """As small as an image tower gets, and not linear."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3 * 4, 6), torch.nn.GELU(), torch.nn.Linear(6, WIDTH))

    def forward(self, pixels: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        shown = pixels if masks is None else pixels * masks
        return self.layers(shown.flatten(1))


def make_batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "pixels": torch.randn(BATCH, 3, 2, 2, generator=generator),
        "masks": torch.rand(BATCH, 1, 2, 2, generator=generator) > 0.3,
        "nouns": torch.randint(NOUNS, (BATCH,), generator=generator),
        "unmasked": torch.arange(BATCH) % 3 == 0,
        "weights": torch.rand(BATCH, generator=generator) * 2 + 0.01,
        "negatives": torch.randint(-1, TEXTS, (BATCH, 3), generator=generator),
    }


def gradients(
    kind: str, micro_batch_size: int | None, options: tuple[str, ...] = (), rank: int = 0, ranks: int = 1
) -> list[torch.Tensor]:
    """Of the tower's parameters and the temperature, after one step on this rank's part of the batch."""
    torch.manual_seed(0)
    tower, original = Tower(), Tower()
    texts = torch.nn.functional.normalize(torch.randn(TEXTS, WIDTH), dim=-1)
    scale = torch.nn.Parameter(torch.tensor(1.5))
    step = Step(
        DistributedDataParallel(tower) if ranks > 1 else tower,
        RegionLoss(kind, texts[:NOUNS], scale, Ranks(rank, ranks), texts),
        autocast=contextlib.nullcontext,
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        micro_batch_size=micro_batch_size,
        original=original,
        distillation=0.7,
    )
    share = BATCH // ranks
    batch = {name: tensor[rank * share : (rank + 1) * share] for name, tensor in make_batch().items()}
    for option in {"weights", "negatives"}.difference(options):
        del batch[option]
    result = step(batch)
    assert result.finite.shape == (share,)
    assert result.finite.all()
    loss = result.loss.clone()
    if ranks > 1:
        dist.all_reduce(loss)
        loss /= ranks
    return [loss, scale.grad if scale.grad is not None else torch.zeros(()), *(p.grad for p in tower.parameters())]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("micro_batch_size", [1, 3, 7])
@pytest.mark.parametrize("options", OPTIONS)
def test_micro_batches_give_the_gradients_of_one_batch(kind, micro_batch_size, options):
    torch.testing.assert_close(gradients(kind, micro_batch_size, options), gradients(kind, None, options))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["weights", "negatives"])
def test_weights_and_hard_negatives_change_the_gradients(kind, option):
    changed, plain = gradients(kind, None, (option,)), gradients(kind, None)
    assert (changed[2] - plain[2]).abs().max() > 1e-3


def test_the_temperature_learns():
    assert gradients("contrastive", None)[1].abs() > 1e-4


def rank_main(rank: int, ranks: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = {case: gradients(*case, rank, ranks) for case in product(*CASES)}
    if rank == 0:
        torch.save(list(found.values()), Path(folder) / "gradients.pt")
    dist.destroy_process_group()


def test_two_ranks_give_the_gradients_of_one(tmp_path):
    torch.multiprocessing.spawn(rank_main, args=(2, str(tmp_path)), nprocs=2)
    found = torch.load(tmp_path / "gradients.pt", weights_only=True)
    for (kind, micro_batch_size, options), of_two in zip(product(*CASES), found, strict=True):
        message = f"{kind}, micro-batches of {micro_batch_size}, with {options}"
        torch.testing.assert_close(of_two, gradients(kind, None, options), msg=message)
