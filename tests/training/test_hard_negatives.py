"""Hard negatives in training: the losses against their formulas in loops, and the way of the texts to the step."""

import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.regions.clip_input import ClipInput
from pipeline.training.config import LossConfig, TrainConfig
from pipeline.training.loader import training_loader, validation_loader
from pipeline.training.losses import RegionLoss
from pipeline.training.order import PhaseSteps
from pipeline.training.plan import resolve
from pipeline.training.ranks import Ranks
from pipeline.training.run import train
from pipeline.training.samples import DataConfig, Samples, select_samples
from tests.training.configs import train_config
from tests.training.datasets import NOUNS as DATASET_NOUNS
from tests.training.datasets import negatives_of, write_dataset

NOUNS, TEXTS, WIDTH, TEMPERATURE, MOST = 5, 9, 8, 10.0, 3
KINDS = ("contrastive", "multi_positive", "classification")


def unit(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


EMBEDDINGS = unit(TEXTS, WIDTH, seed=1)


def loss_of(kind: str, features, nouns, negatives: list[list[int]] | None, weights=None) -> torch.Tensor:
    texts = EMBEDDINGS.float()
    loss = RegionLoss(kind, texts[:NOUNS], torch.nn.Parameter(torch.tensor(math.log(TEMPERATURE))), Ranks(), texts)
    padded = None
    if negatives is not None:
        padded = torch.tensor([own + [-1] * (MOST - len(own)) for own in negatives])
    return loss(features, torch.tensor(nouns), None if weights is None else torch.tensor(weights), padded)


def by_hand(kind: str, features, nouns: list[int], negatives: list[list[int]], weights: list[float]) -> torch.Tensor:
    """The formulas of both modules, in float64; differentiable."""
    regions = range(len(nouns))

    def exp(region: int, text: int) -> torch.Tensor:
        return torch.exp(TEMPERATURE * features[region] @ EMBEDDINGS[text])

    own = {noun: [i for i in regions if nouns[i] == noun] for noun in set(nouns)}
    mean = {noun: sum(weights[i] for i in found) / len(found) for noun, found in own.items()}
    total = torch.zeros((), dtype=torch.float64)
    for i in regions:
        hard = sum(exp(i, text) for text in negatives[i])
        if kind == "classification":
            texts = sum(exp(i, noun) for noun in range(NOUNS))
        elif kind == "contrastive":
            texts = sum(weights[j] * exp(i, nouns[j]) for j in regions)
        else:
            texts = sum(mean[noun] * exp(i, noun) for noun in own)
        total = total + weights[i] * (torch.log(texts + hard) - torch.log(exp(i, nouns[i]))) / len(nouns)
    if kind == "classification":
        return total
    for i in regions if kind == "contrastive" else ():
        images = sum(weights[j] * exp(j, nouns[i]) for j in regions)
        total = total + weights[i] * (torch.log(images) - torch.log(exp(i, nouns[i]))) / len(nouns)
    for noun, found in own.items() if kind == "multi_positive" else ():
        images = torch.log(sum(weights[i] * exp(i, noun) for i in regions))
        positive = sum(weights[i] * torch.log(exp(i, noun)) for i in found) / sum(weights[i] for i in found)
        total = total + mean[noun] * (images - positive) / len(own)
    return total / 2


pairs_with_negatives = st.lists(
    st.tuples(st.integers(0, NOUNS - 1), st.floats(0.05, 5), st.lists(st.integers(0, TEXTS - 1), max_size=MOST)),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weighted", [False, True])
@settings(max_examples=25, deadline=None)
@given(pairs=pairs_with_negatives, seed=st.integers(0, 99))
def test_losses_and_gradients_are_those_of_the_formulas(kind, weighted, pairs, seed):
    nouns, weights, negatives = map(list, zip(*pairs, strict=True))
    weights = weights if weighted else [1.0] * len(nouns)
    features = unit(len(nouns), WIDTH, seed=seed)
    found_of, expected_of = 3 * features.float(), features.clone()  # length does not matter
    found_of.requires_grad_()
    expected_of.requires_grad_()
    found = loss_of(kind, found_of, nouns, negatives, weights if weighted else None)
    expected = by_hand(kind, torch.nn.functional.normalize(expected_of, dim=-1), nouns, negatives, weights)
    assert found.item() == pytest.approx(expected.item(), abs=2e-4)
    found.backward()
    expected.backward()
    torch.testing.assert_close(3 * found_of.grad.double(), expected_of.grad, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_without_any_the_loss_is_the_one_without(kind):
    features, nouns = unit(4, WIDTH, seed=3).float(), [0, 1, 1, 4]
    none = loss_of(kind, features, nouns, [[], [], [], []])
    assert none.item() == pytest.approx(loss_of(kind, features, nouns, None).item(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_negative_pushes_its_own_region_alone(kind):
    """Not even a region whose noun it is: text 1 is the noun of the second region."""
    gradients = []
    for negatives in ([[], [], []], [[1], [], []]):
        features = unit(3, WIDTH, seed=5).float().requires_grad_()
        loss_of(kind, features, [0, 1, 2], negatives).backward()
        gradients.append(features.grad)
    change = gradients[1] - gradients[0]
    assert change[0].abs().max() > 1e-4
    assert change[1:].abs().max() < 1e-7
    towards = unit(3, WIDTH, seed=5).float()[0] - 0.1 * change[0]
    assert torch.cosine_similarity(towards, EMBEDDINGS[1].float(), dim=0) < torch.cosine_similarity(
        unit(3, WIDTH, seed=5).float()[0], EMBEDDINGS[1].float(), dim=0
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), negatives=True)


def expected_negatives(samples: Samples, row: int, most: int) -> list[str]:
    _, image, pair = map(int, samples.key(row).split("-"))
    return negatives_of(samples.table["shard"][row].as_py() * 4 + image, pair)[:most]


@pytest.mark.parametrize("most", [1, 3, 9])
def test_every_training_sample_comes_with_its_first_negatives(dataset, tmp_path, most):
    selected = select_samples(str(dataset), DataConfig(held_out_share=0.3), most)
    selected.write(str(tmp_path / "samples.parquet"))
    read = Samples.read(str(tmp_path / "samples.parquet"))
    assert read.table.equals(selected.table)
    assert read.sha256 == selected.sha256
    for samples in (selected, read):
        assert samples.texts[: len(samples.nouns)] == samples.nouns == sorted(DATASET_NOUNS)
        assert len(set(samples.texts)) == len(samples.texts)
        assert len(samples.held_out) > 0
        for row in range(len(samples.table)):
            expected = expected_negatives(samples, row, most) if row in samples.train else []
            [own] = samples.hard_negatives.of_rows(samples.noun_of_row[row : row + 1] * 0 + row)
            assert [samples.texts[text] for text in own if text >= 0] == expected
            assert len(own) == min(most, 4)
    pairs = sum(bool(expected_negatives(read, row, most)) for row in read.train)
    assert f" of {pairs} pairs" in str(read.hard_negatives)


def test_the_loader_gives_them_beside_what_it_gives_without(dataset):
    config = DataConfig(held_out_share=0.3, loaders=0, unmasked_share=0.4)
    samples = {most: select_samples(str(dataset), config, most) for most in (0, 2)}
    steps = PhaseSteps(seed=3, epochs=2, batch_size=4)
    with_them, without = (list(training_loader(samples[most], config, steps, ClipInput(16))) for most in (2, 0))
    for batch, plain in zip(with_them, without, strict=True):
        negatives = batch.pop("negatives")
        assert negatives.shape == (4, 2)
        assert negatives.dtype == torch.int64
        assert batch.keys() == plain.keys()
        assert all(torch.equal(batch[name], plain[name]) for name in ("nouns", "rows", "unmasked"))
        for row, own in zip(batch["rows"].tolist(), negatives.tolist(), strict=True):
            texts = [samples[2].texts[text] for text in own if text >= 0]
            assert texts == expected_negatives(samples[2], row, 2)
    # A run that goes on gets the batches that were left.
    later = PhaseSteps(seed=3, epochs=2, batch_size=4, first_step=3)
    resumed = list(training_loader(samples[2], config, later, ClipInput(16)))
    again = list(training_loader(samples[2], config, steps, ClipInput(16)))[3:]
    assert all(torch.equal(a["negatives"], b["negatives"]) for a, b in zip(resumed, again, strict=True))
    validation = validation_loader(samples[2], config, ClipInput(16), max_regions=9, batch_size=2)
    assert all("negatives" not in batch for batch in validation)


def test_without_them_the_samples_are_as_if_the_dataset_had_none(dataset, tmp_path):
    plain = write_dataset(tmp_path / "plain")
    with_them, without = (select_samples(str(folder), DataConfig(), 0) for folder in (dataset, plain))
    assert with_them.sha256 == without.sha256
    assert with_them.table.schema == without.table.schema
    assert with_them.texts == with_them.nouns
    assert with_them.hard_negatives is None


def test_a_negative_that_is_the_noun_of_its_pair_is_left_out(tmp_path):
    folder = write_dataset(tmp_path, shards=1, negatives=True)
    [file] = (folder / "manifests").iterdir()
    table = pq.read_table(file)
    nouns = table["noun"].to_pylist()
    lists = [[noun, "tram"] for noun in nouns]
    column = table.schema.get_field_index("negatives")
    table = table.set_column(column, table.schema.field(column), [lists])
    pq.write_table(table, file)
    (folder / "dataset.json").unlink()
    samples = select_samples(str(folder), DataConfig(held_out_share=0.0), 2)
    assert samples.table["negatives"].to_pylist() == [["tram"]] * len(nouns)


def test_a_dataset_without_them_is_refused(tmp_path):
    folder = write_dataset(tmp_path / "plain", shards=1)
    with pytest.raises(UserError, match=r"loss\.hard_negatives is 3, but the training pairs .* negatives\.count 3"):
        select_samples(str(folder), DataConfig(), 3)
    folder = write_dataset(tmp_path / "some", shards=1, images=1, negatives=True)  # image 0 has none
    with pytest.raises(UserError, match=r"loss\.hard_negatives"):
        select_samples(str(folder), DataConfig(held_out_share=0.0), 3)


def test_pretraining_takes_none(tmp_path):
    config = TrainConfig(dataset=str(tmp_path), output=str(tmp_path / "run"), mode="pretrain")
    config.loss.hard_negatives = 2
    with pytest.raises(UserError, match=r"loss\.hard_negatives does not apply to mode pretrain"):
        resolve(config)


@pytest.mark.slow
def test_a_run_with_them(dataset, small_clip, ray_cluster, tmp_path, capsys):
    loss = LossConfig(kind="classification", hard_negatives=2)
    config = train_config(dataset, small_clip, tmp_path / "run", mode="full", batch_size=8, loss=loss)
    result = train(config)
    assert "hard negatives of" in capsys.readouterr().err
    samples = Samples.read(str(tmp_path / "run" / "samples.parquet"))
    assert samples.hard_negatives.width == 2
    assert "classification, distillation 0, 2 hard negatives" in (tmp_path / "run" / "model" / "README.md").read_text()
    assert all(
        math.isfinite(row["loss"])
        for row in pq.read_table(tmp_path / "run" / "metrics.parquet").to_pylist()
        if row["loss"]
    )
    assert train(config) == result
    with pytest.raises(UserError, match=r"loss\.hard_negatives: .*2 → 1"):
        train(
            train_config(
                dataset,
                small_clip,
                tmp_path / "run",
                mode="full",
                batch_size=8,
                loss=LossConfig("classification", hard_negatives=1),
            )
        )
