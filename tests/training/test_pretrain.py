"""Contrastive pretraining: the loss by its formula, over ranks, and whole runs."""

import copy
import json
import math
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pyarrow.parquet as pq
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from torch.nn.parallel import DistributedDataParallel

from pipeline.clip import Clip, load_clip
from pipeline.errors import UserError
from pipeline.microworld.clip import write_untrained_clip
from pipeline.microworld.crops import captioned_pairs
from pipeline.microworld.pair_shards import describe_pairs, write_pairs
from pipeline.microworld.scenes import draw_scene
from pipeline.training.config import CheckpointsConfig, LossConfig, PretrainConfig, TrainConfig
from pipeline.training.order import epoch_order
from pipeline.training.phases import plan_phases, prepare
from pipeline.training.plan import load_model, resolve
from pipeline.training.pretraining import PretrainStep
from pipeline.training.ranks import Ranks
from pipeline.training.run import train
from pipeline.training.samples import DataConfig, select_samples
from tests.training.configs import train_config
from tests.training.test_train import changed, weights

BATCH, SIDE, SCENES = 8, 48, 24
TEXTS = ["a photo of a fish", "grass", "the boat on water", "an old apple", "a nice day with sand"]
FROZEN = ["token_embedding"]


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained_clip(folder, seed=3)
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Whole scenes and crops of 24 scenes, in two shards."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    describe_pairs(folder, shards=2, images=SCENES)
    for shard in range(2):
        images = range(shard, SCENES, 2)
        write_pairs(
            folder, shard, [pair for image in images for pair in captioned_pairs(rng, draw_scene(rng), str(image))]
        )
    return folder


def config(pairs: Path, untrained: str, output: Path, **changes) -> TrainConfig:
    """Two epochs over all pairs, batches of 16, a checkpoint after every step."""
    settings = {
        "mode": "pretrain",
        "data": DataConfig(held_out_share=0.0, loaders=0),
        "loss": LossConfig(),
        "pretrain": PretrainConfig(epochs=2, learning_rate=1e-3, warmup_steps=2, frozen=FROZEN),
        "checkpoints": CheckpointsConfig(every_steps=1),
    }
    return train_config(pairs, untrained, output, **(settings | changes))


def trainable(untrained: str) -> tuple[Clip, dict[str, torch.nn.Parameter]]:
    clip = load_clip(untrained)
    pretraining = TrainConfig(dataset="", output="", mode="pretrain", pretrain=PretrainConfig(frozen=FROZEN))
    [phase] = plan_phases(pretraining, samples=1000)
    return clip, prepare(clip, phase, pretraining)


def make_batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "pixels": torch.randn(BATCH, 3, SIDE, SIDE, generator=generator),
        "nouns": torch.randint(len(TEXTS), (BATCH,), generator=generator),
    }


def step_gradients(untrained: str, rank: int = 0, ranks: int = 1) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of one step on this rank's part of the batch."""
    clip, parameters = trainable(untrained)
    model = DistributedDataParallel(clip.model, broadcast_buffers=False) if ranks > 1 else clip.model
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = PretrainStep(clip, model, TEXTS, scaler=scaler, ranks=Ranks(rank, ranks))
    share = BATCH // ranks
    result = step({name: tensor[rank * share : (rank + 1) * share] for name, tensor in make_batch().items()})
    assert result.finite.tolist() == [True] * share
    loss = result.loss.clone()
    if ranks > 1:
        dist.all_reduce(loss)
        loss /= ranks
    return loss, {name: parameter.grad for name, parameter in parameters.items()}


def test_the_loss_is_that_of_the_clip_paper(untrained):
    """Radford et al. 2021, Fig. 3, in double precision."""
    clip, parameters = trainable(untrained)
    model, batch = copy.deepcopy(clip.model).double(), make_batch()
    tokens = clip.tokenizer([TEXTS[index] for index in batch["nouns"]])
    images_BD = F.normalize(model.encode_image(batch["pixels"].double()), dim=-1)
    texts_BD = F.normalize(model.encode_text(tokens), dim=-1)
    logits_BB = model.logit_scale.exp() * images_BD @ texts_BD.T
    own_B = torch.arange(BATCH)
    expected = (F.cross_entropy(logits_BB, own_B) + F.cross_entropy(logits_BB.T, own_B)) / 2
    expected.backward()

    loss, gradients = step_gradients(untrained)
    torch.testing.assert_close(loss.double(), expected.detach())
    reference = dict(model.named_parameters())
    assert gradients.keys() == parameters.keys() == reference.keys() - {"token_embedding.weight"}
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient.double(), reference[name].grad, rtol=1e-3, atol=1e-6, msg=name)
    assert gradients["logit_scale"].abs() > 1e-4


def rank_main(rank: int, ranks: int, folder: str, untrained: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = step_gradients(untrained, rank, ranks)
    if rank == 0:
        torch.save(found, Path(folder) / "gradients.pt")
    dist.destroy_process_group()


def test_two_ranks_give_the_gradients_of_one(untrained, tmp_path):
    torch.multiprocessing.spawn(rank_main, args=(2, str(tmp_path), untrained), nprocs=2)
    of_two = torch.load(tmp_path / "gradients.pt", weights_only=True)
    torch.testing.assert_close(of_two, step_gradients(untrained), rtol=1e-3, atol=1e-6)


def test_the_temperature_stays_in_its_range(untrained):
    clip, _ = trainable(untrained)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = PretrainStep(clip, clip.model, TEXTS, scaler=scaler, ranks=Ranks())
    for value, kept in ((9.0, math.log(100)), (-1.0, 0.0), (3.0, 3.0)):
        clip.logit_scale.data.fill_(value)
        step.clamp_logit_scale()
        assert clip.logit_scale.item() == pytest.approx(kept)


@pytest.mark.parametrize("change", [{"micro_batch_size": 4}, {"loss": LossConfig(distillation=1.0)}])
def test_what_does_not_apply_is_refused(pairs, untrained, tmp_path, change):
    data = DataConfig(held_out_share=0.0, unmasked_share=0.5)
    with pytest.raises(UserError, match=r"micro_batch_size and loss\.distillation do not apply to mode pretrain"):
        resolve(config(pairs, untrained, tmp_path, data=data, **change))


def test_a_name_that_no_parameter_has_is_not_frozen_in_silence(pairs, untrained, tmp_path):
    misspelt = PretrainConfig(frozen=["token_embedding", "token_embeding"])
    with pytest.raises(UserError, match=r"pretrain\.frozen: .*'token_embeding', but with .* token_embedding, "):
        load_model(config(pairs, untrained, tmp_path, pretrain=misspelt))


@pytest.fixture(scope="module")
def pretrained(pairs, untrained, ray_cluster, tmp_path_factory) -> Path:
    """The output of an undisturbed run. Tests only read it."""
    output = tmp_path_factory.mktemp("pretrained")
    train(config(pairs, untrained, output))
    return output


@pytest.mark.slow
def test_both_towers_learn_and_what_is_frozen_does_not(pretrained, untrained, pairs):
    original = weights(untrained)
    assert changed(original, weights(pretrained / "model")) == original.keys() - {"token_embedding.weight"}
    result = json.loads((pretrained / "result.json").read_text())
    samples = select_samples(str(pairs), DataConfig(held_out_share=0.0))
    assert result["steps"] == {"pretrain": 2 * (len(samples.train) // 16)}
    assert result["accuracy"] == []
    rows = pq.read_table(pretrained / "metrics.parquet").to_pylist()
    assert {row["stage"] for row in rows} == {"pretrain"}
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.slow
def test_open_clip_loads_the_pretrained(pretrained, untrained):
    source = f"local-dir:{pretrained / 'model'}"
    model, _, _ = open_clip.create_model_and_transforms(source)
    clip = load_clip(source)
    assert clip.vision.depth == 0
    pixels, tokens = make_batch()["pixels"], open_clip.get_tokenizer(source)(TEXTS)
    with torch.inference_mode():
        torch.testing.assert_close(clip.vision(pixels), model.eval().encode_image(pixels))
        torch.testing.assert_close(clip.text(tokens), model.encode_text(tokens))
        assert not torch.allclose(clip.text(tokens), load_clip(untrained).text(tokens), atol=1e-3)


@pytest.mark.soak
def test_a_run_that_stopped_goes_on_as_if_nothing_had_happened(pairs, untrained, pretrained, ray_cluster, tmp_path):
    """It meets a damaged sample in its second epoch; once that is mended, the same command finishes."""
    samples = select_samples(str(pairs), DataConfig(held_out_share=0.0))
    steps = len(samples.train) // 16
    orders = [epoch_order(samples.table["shard"].to_numpy(), seed=0, epoch=epoch) for epoch in range(2)]
    [late, *_] = [row for row in orders[1][16 : 16 * steps] if row not in orders[0][: 16 * steps]]
    [row] = samples.table.slice(late, 1).to_pylist()
    dataset, output = tmp_path / "pairs", tmp_path / "run"
    shutil.copytree(pairs, dataset)
    tar = dataset / "shards" / f"{row['shard']:06d}.tar"
    whole = tar.read_bytes()
    start, stop = row["tar_offset"], row["tar_offset"] + row["tar_length"]
    tar.write_bytes(whole[:start] + bytes(stop - start) + whole[stop:])
    with pytest.raises(UserError, match=rf"{tar} is damaged: the sample at byte {start}: "):
        train(config(dataset, untrained, output))
    [state, *_] = output.glob("checkpoints/pretrain-*/state.json")
    first = json.loads(state.read_text())["history"][0]

    tar.write_bytes(whole)
    train(config(dataset, untrained, output))
    # It went on and did not begin anew: the speed that was measured in the first run is still there.
    rows = pq.read_table(output / "metrics.parquet").to_pylist()
    assert rows[0]["regions_per_second"] == first["regions_per_second"]
    assert [row["step"] for row in rows] == list(range(1, 2 * steps + 1))
    model = "model/open_clip_model.safetensors"
    assert (output / model).read_bytes() == (pretrained / model).read_bytes()
