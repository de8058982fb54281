"""Batches out of loader processes: always the same ones, however many processes, workers and interruptions."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.regions import masked_regions
from pipeline.regions.clip_input import ClipInput
from pipeline.training.crops import cut_batches
from pipeline.training.decoding import decode_sample
from pipeline.training.loader import training_loader, validation_loader
from pipeline.training.order import PhaseSteps
from pipeline.training.ranks import Ranks
from pipeline.training.samples import DataConfig, Samples, select_samples
from tests.training.datasets import NOUNS, tar, write_dataset
from tests.training.one_by_one import region_by_itself

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SIZE = 16
INPUT = ClipInput(SIZE)
STEPS = PhaseSteps(seed=3, epochs=2, batch_size=4)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def samples(dataset) -> Samples:
    return select_samples(str(dataset), DataConfig(held_out_share=0.3))


@pytest.fixture(scope="module")
def batches(samples) -> list[dict]:
    """All batches of the phase, read in this process."""
    return cut(training_loader(samples, DataConfig(loaders=0, unmasked_share=0.4), STEPS, INPUT))


def cut(loader: Iterable[dict]) -> list[dict]:
    """All batches of a loader as a step gets them."""
    return list(cut_batches(loader, torch.device("cpu")))


def equal(a: list[dict], b: list[dict]) -> bool:
    assert len(a) == len(b)
    return all(
        x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x) for x, y in zip(a, b, strict=True)
    )


def test_batches_have_the_promised_shapes_and_content(samples, batches):
    steps = len(samples.train) // 4
    assert len(batches) == 2 * steps > 4
    for batch in batches:
        assert {name: (list(values.shape), values.dtype) for name, values in batch.items()} == {
            "pixels": ([4, 3, SIZE, SIZE], torch.float32),
            "masks": ([4, 1, SIZE, SIZE], torch.bool),
            "nouns": ([4], torch.int64),
            "unmasked": ([4], torch.bool),
            "rows": ([4], torch.int64),
        }
        assert torch.isfinite(batch["pixels"]).all()
        assert batch["masks"].flatten(1).any(dim=1).all()
        assert batch["masks"][batch["unmasked"]].all()
        for row, noun in zip(batch["rows"].tolist(), batch["nouns"].tolist(), strict=True):
            _, image, pair = map(int, samples.key(row).split("-"))
            number = samples.table["shard"][row].as_py() * 4 + image
            assert samples.nouns[noun] == NOUNS[(number + pair) % len(NOUNS)]
    unmasked = torch.cat([batch["unmasked"] for batch in batches])
    assert 0 < unmasked.sum() < len(unmasked)
    for epoch in (batches[:steps], batches[steps:]):
        rows = torch.cat([batch["rows"] for batch in epoch]).tolist()
        assert len(set(rows)) == len(rows)
        assert set(rows) <= set(samples.train.tolist())


def test_weights_come_with_their_regions_and_change_nothing_else(dataset, samples, batches):
    weighted = select_samples(str(dataset), DataConfig(held_out_share=0.3, weight="clip_score + 0.01"))
    config = DataConfig(loaders=0, unmasked_share=0.4)
    found = cut(training_loader(weighted, config, STEPS, INPUT))
    for batch in found:
        weights = batch.pop("weights")
        assert weights.dtype == torch.float32
        assert torch.equal(weights, torch.from_numpy(weighted.weight_of_row)[batch["rows"]])
    assert equal(found, batches)
    validation = validation_loader(weighted, config, INPUT, max_regions=9, batch_size=2)
    assert all("weights" not in batch for batch in validation)


def test_every_sample_is_the_region_of_its_seed(dataset, samples, batches):
    """To the bit: seed, epoch and row decide, as if each were read and cut by itself."""
    config, steps = DataConfig(unmasked_share=0.4), len(samples.train) // 4
    for number, batch in enumerate(batches):
        for index, row in enumerate(batch["rows"].tolist()):
            image, mask = stored(dataset, samples, row)
            seed = (STEPS.seed, number // steps, row)
            pixels, region_mask, unmasked = region_by_itself(image, mask, config, seed, INPUT)
            assert torch.equal(batch["pixels"][index], pixels)
            assert torch.equal(batch["masks"][index], region_mask)
            assert batch["unmasked"][index] == unmasked


def stored(dataset: Path, samples: Samples, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Crop and mask of a sample, read from its tar."""
    shard, offset, length = (samples.table[name][row].as_py() for name in ("shard", "tar_offset", "tar_length"))
    return decode_sample(tar(dataset, shard).read_bytes()[offset : offset + length], samples.key(row))


def test_a_sample_looks_different_in_every_epoch(samples):
    config = DataConfig(loaders=0, min_scale=0.5, fill="none")
    first, second = (
        {row: pixels for batch in epoch for row, pixels in zip(batch["rows"].tolist(), batch["pixels"], strict=True)}
        for epoch in (
            cut(training_loader(samples, config, replace(STEPS, epochs=1), INPUT)),
            cut(training_loader(samples, config, STEPS, INPUT))[len(samples.train) // 4 :],
        )
    )
    common = first.keys() & second.keys()
    assert len(common) > 5
    assert sum(not torch.equal(first[row], second[row]) for row in common) > len(common) / 2


def test_loader_processes_change_nothing(samples, batches):
    loader = training_loader(samples, DataConfig(loaders=2, unmasked_share=0.4), STEPS, INPUT)
    assert len(loader) == len(batches)
    assert equal(cut(loader), batches)


@given(world_size=st.sampled_from([1, 2, 4]), first_step=st.integers(0, 9))
@settings(deadline=None, max_examples=15)
def test_workers_and_resuming_change_nothing(samples, batches, world_size, first_step):
    config = DataConfig(loaders=0, unmasked_share=0.4)
    ranks = [
        cut(training_loader(samples, config, replace(STEPS, first_step=first_step), INPUT, Ranks(rank, world_size)))
        for rank in range(world_size)
    ]
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in zip(*ranks, strict=True)
    ]
    assert equal(joined, batches[first_step:])


def test_two_workers_with_processes_of_their_own_resume_in_the_middle(samples, batches):
    config = DataConfig(loaders=2, unmasked_share=0.4)
    ranks = [training_loader(samples, config, replace(STEPS, first_step=3), INPUT, Ranks(rank, 2)) for rank in range(2)]
    joined = [
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        for parts in zip(*map(cut, ranks), strict=True)
    ]
    assert equal(joined, batches[3:])


@pytest.mark.parametrize(("fill", "expand"), [("mean", 1.0), ("zero", 1.5)])
def test_validation_cuts_regions_as_mining_does(dataset, samples, fill, expand):
    config = DataConfig(loaders=0, fill=fill, expand=expand)
    seen = []
    for batch in cut(validation_loader(samples, config, INPUT, max_regions=10**6, batch_size=3)):
        assert not batch["unmasked"].any()
        for row, pixels, mask in zip(batch["rows"].tolist(), batch["pixels"], batch["masks"], strict=True):
            seen.append(row)
            image, inside = stored(dataset, samples, row)
            [expected], [expected_mask], *_ = masked_regions(image, inside[None], size=SIZE, fill=fill, expand=expand)
            assert torch.equal(pixels, expected)
            assert torch.equal(mask, expected_mask)
    assert seen == samples.held_out.tolist()


@pytest.mark.parametrize("max_regions", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("world_size", [1, 3])
def test_validation_is_shared_by_the_ranks_and_evenly_spread(samples, max_regions, world_size):
    rows = []
    for rank in range(world_size):
        loader = validation_loader(
            samples,
            DataConfig(loaders=0),
            INPUT,
            Ranks(rank, world_size),
            max_regions=max_regions,
            batch_size=2,
        )
        rows += [row for batch in loader for row in batch["rows"].tolist()]
    indices = sorted(samples.held_out.tolist().index(row) for row in rows)
    count = min(max_regions, len(samples.held_out))
    assert indices == [number * len(samples.held_out) // count for number in range(count)]


def test_nothing_held_out_is_no_batch(dataset):
    samples = select_samples(str(dataset), DataConfig(held_out_share=0.0))
    assert list(validation_loader(samples, DataConfig(loaders=0), INPUT, max_regions=9, batch_size=2)) == []


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_damaged_sample_is_named(dataset, samples, loaders, tmp_path):
    folder = Path(shutil.copytree(dataset, tmp_path / "copy"))
    row = 5
    shard, offset, length = (samples.table[name][row].as_py() for name in ("shard", "tar_offset", "tar_length"))
    data = bytearray(tar(folder, shard).read_bytes())
    data[offset : offset + length] = bytes(length)
    tar(folder, shard).write_bytes(data)
    samples = select_samples(str(folder), DataConfig(held_out_share=0.0))
    with pytest.raises(UserError) as raised:
        list(training_loader(samples, DataConfig(loaders=loaders), replace(STEPS, batch_size=3), INPUT))
    message = str(raised.value)
    assert message.startswith(f"dataset: {tar(folder, shard)} is damaged: the sample at byte {offset}: ")
    assert "--verify" in message
    assert "data.skip_damaged" in message
    assert "\n" not in message
    assert "decode_sample" in "".join(raised.value.__notes__), "where it happened"


def flip(path: Path, samples: Samples, row: int) -> None:
    """One bit in the middle of a sample's JPEG, which still decodes."""
    offset = samples.table["tar_offset"][row].as_py()
    data = bytearray(path.read_bytes())
    end = offset + 512 + int(data[offset + 124 : offset + 135], 8)  # the size that the tar's header states
    data[end - 12] ^= 4
    path.write_bytes(data)


def test_a_flipped_bit_is_not_trained_on(dataset, samples, tmp_path):
    folder = Path(shutil.copytree(dataset, tmp_path / "copy"))
    samples = select_samples(str(folder), DataConfig(held_out_share=0.0))
    shard, offset, length = (samples.table[name][5].as_py() for name in ("shard", "tar_offset", "tar_length"))
    flip(tar(folder, shard), samples, 5)
    decode_sample(tar(folder, shard).read_bytes()[offset : offset + length], samples.key(5))  # nothing else notices
    named = rf"{tar(folder, shard)} is damaged: the sample at byte {offset}: its content differs from its checksum"
    with pytest.raises(UserError, match=named):
        list(training_loader(samples, DataConfig(loaders=0), STEPS, INPUT))


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_flipped_bit_in_the_cache_is_mended(dataset, samples, batches, s3, s3_uri, tmp_path):
    for path in dataset.rglob("*.*"):
        s3.client().upload_file(str(path), s3_uri.removeprefix("s3://"), f"mined/{path.relative_to(dataset)}")
    config = DataConfig(held_out_share=0.3, loaders=0, unmasked_share=0.4, cache=str(tmp_path / "cache"))
    remote = select_samples(f"{s3_uri}/mined", config)
    assert equal(cut(training_loader(remote, config, STEPS, INPUT)), batches)
    for path in (tmp_path / "cache").glob("*.tar"):
        shard = int(path.stem.rpartition("-")[2])
        flip(path, remote, next(row for row in remote.train if remote.table["shard"][int(row)].as_py() == shard))
    assert equal(cut(training_loader(remote, config, STEPS, INPUT)), batches)


@pytest.mark.parametrize("loaders", [0, 1])
def test_a_shard_that_is_gone_is_an_error_of_the_storage(dataset, loaders, tmp_path):
    folder = Path(shutil.copytree(dataset, tmp_path / "copy"))
    samples = select_samples(str(folder), DataConfig(held_out_share=0.0))
    tar(folder, 1).unlink()
    with pytest.raises(FileNotFoundError) as raised:
        list(training_loader(samples, DataConfig(loaders=loaders), STEPS, INPUT))
    assert raised.value.filename == str(tar(folder, 1))


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_remote_datasets_give_the_same_batches(dataset, samples, batches, s3, s3_uri, tmp_path):
    for path in dataset.rglob("*.*"):
        s3.client().upload_file(str(path), s3_uri.removeprefix("s3://"), f"mined/{path.relative_to(dataset)}")
    size = max(tar(dataset, shard).stat().st_size for shard in range(3))
    config = DataConfig(
        held_out_share=0.3,
        loaders=2,
        unmasked_share=0.4,
        cache=str(tmp_path),
        cache_gb=2 * size / 1e9,
        shuffle_shards=2,
    )
    remote = select_samples(f"{s3_uri}/mined", config)
    assert remote.manifest_sha256 == samples.manifest_sha256
    assert remote.table.equals(samples.table)
    local = DataConfig(loaders=0, unmasked_share=0.4, shuffle_shards=2)
    assert equal(cut(training_loader(remote, config, STEPS, INPUT)), cut(training_loader(samples, local, STEPS, INPUT)))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2 * size


@pytest.fixture
def loading(dataset) -> Iterator[subprocess.Popen]:
    """A process that has begun to load batches with two loader processes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.training.endless_loading", str(dataset)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "loading\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.slow
def test_loader_processes_die_with_a_killed_worker(loading):
    started = psutil.Process(loading.pid).children(recursive=True)
    assert len(started) >= 3, "the server of processes and two loaders"
    loading.kill()
    _, alive = psutil.wait_procs(started, timeout=60)
    assert not alive
