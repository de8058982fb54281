"""Texts that are embedded in the step: as a frozen tower embeds them, with the gradients of its formula, over ranks."""

import copy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel

from pipeline.clip import load_clip
from pipeline.clip.templates import TEMPLATES
from pipeline.errors import UserError
from pipeline.microworld.clip import write_untrained_clip
from pipeline.training.batch_texts import MOST_CLASSES, BatchTexts, check_texts
from pipeline.training.config import LossConfig, ModelConfig, TextConfig, TrainConfig
from pipeline.training.noun_embeddings import embed_nouns
from pipeline.training.phases import Phase, prepare
from pipeline.training.ranks import Ranks
from tests.training.moving import BATCH, NOUNS, STEPS, TEXTS, batch_of, make_step, moving

KINDS = ["contrastive", "multi_positive", "classification"]
SIDE = 48


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained_clip(folder, seed=3)
    return f"local-dir:{folder}"


@pytest.mark.parametrize("templates", ["photo", "vild"])
@pytest.mark.parametrize("all_nouns", [False, True])
def test_they_are_embedded_as_by_a_frozen_tower(untrained, templates, all_nouns):
    clip = load_clip(untrained)
    batch = batch_of(0, SIDE)
    texts = BatchTexts(clip, TEXTS, len(NOUNS), templates, all_nouns=all_nouns, ranks=Ranks())
    (nouns_ND, texts_UD), nouns_B, negatives_BH = texts(batch["nouns"], batch["negatives"])
    expected_TD = embed_nouns(clip, TEXTS, templates)
    torch.testing.assert_close(nouns_ND[nouns_B], expected_TD[batch["nouns"]])
    there = batch["negatives"] >= 0
    assert (negatives_BH >= 0).equal(there)
    torch.testing.assert_close(texts_UD[negatives_BH[there]], expected_TD[batch["negatives"][there]])
    used = {*batch["nouns"].tolist(), *batch["negatives"][there].tolist()} | (set(range(5)) if all_nouns else set())
    assert len(texts_UD) == len(used)
    if all_nouns:
        torch.testing.assert_close(nouns_ND, expected_TD[: len(NOUNS)])


def gradients(
    untrained: str, kind: str, negatives: bool, rank: int = 0, ranks: int = 1, micro_batch_size: int | None = None
) -> dict[str, torch.Tensor]:
    """Loss and gradients of both towers after one step on this rank's part of the batch."""
    config = moving("attention_qv", "lora" if negatives else "all", kind, micro_batch_size=micro_batch_size)
    clip = load_clip(untrained)
    parameters = prepare(clip, Phase("full", config.full, STEPS), config)
    with torch.no_grad():  # at first no gradient reaches the other half of a low-rank change
        for number, (name, parameter) in enumerate(sorted(parameters.items())):
            if ".up." in name:
                parameter.normal_(std=0.05, generator=torch.Generator().manual_seed(number))
    vision = DistributedDataParallel(clip.vision, broadcast_buffers=False) if ranks > 1 else None
    step, share = make_step(clip, config, vision, Ranks(rank, ranks)), BATCH // ranks
    batch = {name: tensor[rank * share :][:share] for name, tensor in batch_of(1, SIDE, negatives).items()}
    loss = step(batch).loss.clone()
    if ranks > 1:
        dist.all_reduce(loss)
        loss /= ranks
    return {"loss": loss} | {name: p.grad for name, p in parameters.items() if p.grad is not None}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("negatives", [False, True])
def test_micro_batches_give_the_gradients_of_one_batch(untrained, kind, negatives):
    expected = gradients(untrained, kind, negatives)
    found = gradients(untrained, kind, negatives, micro_batch_size=3)
    assert any(name.startswith("transformer.") for name in expected)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


def rank_main(rank: int, ranks: int, folder: str, untrained: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = [gradients(untrained, kind, negatives, rank, ranks) for kind in KINDS for negatives in (False, True)]
    if rank == 0:
        torch.save(found, Path(folder) / "gradients.pt")
    dist.destroy_process_group()


def test_two_ranks_give_the_gradients_of_one(untrained, tmp_path):
    torch.multiprocessing.spawn(rank_main, args=(2, str(tmp_path), untrained), nprocs=2)
    cases = [(kind, negatives) for kind in KINDS for negatives in (False, True)]
    for case, found in zip(cases, torch.load(tmp_path / "gradients.pt", weights_only=True), strict=True):
        torch.testing.assert_close(found, gradients(untrained, *case), rtol=1e-3, atol=1e-6)


def test_the_gradients_are_those_of_the_formula(untrained):
    """Cross-entropy over all nouns, both towers in double precision."""
    found = gradients(untrained, "classification", negatives=False)
    model, tokenizer = copy.deepcopy(load_clip(untrained).model).double(), load_clip(untrained).tokenizer
    model.requires_grad_(True)
    batch = batch_of(1, SIDE, negatives=False)
    prompts = [template.format(noun) for noun in NOUNS for template in TEMPLATES["photo"]]
    nouns_ND = F.normalize(model.encode_text(tokenizer(prompts)), dim=-1)
    regions_BD = F.normalize(model.encode_image(batch["pixels"].double()), dim=-1)
    loss = F.cross_entropy(model.logit_scale.exp() * regions_BD @ nouns_ND.T, batch["nouns"])
    loss.backward()
    torch.testing.assert_close(found["loss"].double(), loss.detach(), rtol=1e-5, atol=1e-6)
    checked = 0
    for name, parameter in model.named_parameters():
        if name in found:
            torch.testing.assert_close(found[name].double(), parameter.grad, rtol=1e-3, atol=1e-6, msg=name)
            checked += not name.startswith("visual.")
    assert checked > 20
    for name, gradient in found.items():  # query, key and value of the image tower are parts of one weight
        if name.endswith("in_proj_weight.original2"):
            fused = dict(model.named_parameters())[name.replace(".parametrizations", "").removesuffix(".original2")]
            torch.testing.assert_close(gradient.double(), fused.grad.chunk(3)[2], rtol=1e-3, atol=1e-6, msg=name)


def test_too_many_nouns_for_a_step_are_refused():
    config = TrainConfig(dataset="", output="", text=TextConfig(parameters="attention_qv"))
    most = MOST_CLASSES // len(TEMPLATES["vild"])
    check_texts(config, most)
    with pytest.raises(UserError, match=r"loss\.kind classification compares .* set loss\.kind to multi_positive"):
        check_texts(config, most + 1)
    config.model = ModelConfig(templates="photo")
    check_texts(config, most + 1)
    config.model, config.loss = ModelConfig(), LossConfig(kind="multi_positive")
    check_texts(config, 10 * MOST_CLASSES)
    config.loss, config.text = LossConfig(), TextConfig()
    check_texts(config, 10 * MOST_CLASSES)
