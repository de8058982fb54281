"""Whole images beside the regions of a batch: which, in which order, with which loss, and what if they have gone."""

import copy
import io
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F  # noqa: N812
from PIL import Image
from torch.nn.parallel import DistributedDataParallel

from pipeline import storage
from pipeline.clip import Clip, load_clip
from pipeline.dataset.folds import fold_of
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.microworld.clip import write_untrained_clip
from pipeline.training.config import ReplayConfig, TrainConfig, WorkersConfig
from pipeline.training.loader import training_loader
from pipeline.training.order import PhaseSteps
from pipeline.training.phases import Phase, plan_phases, prepare
from pipeline.training.plan import resolve
from pipeline.training.ranks import Ranks
from pipeline.training.replay import Replay, images_of_a_batch, of_all_ranks, select_replay, told
from pipeline.training.samples import DataConfig, is_held_out, select_samples
from pipeline.training.whole_images import ReplayBatches
from tests.training.datasets import list_images, write_dataset
from tests.training.moving import STEPS, batch_of, make_step, moving

SIDE, IMAGES, SHARE = 48, 4, 0.25
SHOWN = ["a boat on water", "an old apple", "grass", "a dog beside a boat"]
ALL = DataConfig(held_out_share=0.0, loaders=0)


@pytest.fixture(scope="module")
def untrained(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("untrained")
    write_untrained_clip(folder, seed=3)
    return f"local-dir:{folder}"


@pytest.fixture(scope="module")
def clip(untrained) -> Clip:
    return load_clip(untrained)


@pytest.fixture
def dataset(tmp_path) -> Path:
    """Twelve images in three shards, two pairs of each, and the files that they were mined from."""
    folder = write_dataset(tmp_path / "mined")
    list_images(folder, tmp_path / "pictures")
    return folder


def shown_batch(rank: int = 0, ranks: int = 1) -> dict:
    """This rank's part of a batch of regions and of four images."""
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(9))
    whole = batch_of(2, SIDE, negatives=False) | {"images": images, "captions": SHOWN}
    return {
        name: values[rank * (len(values) // ranks) : (rank + 1) * (len(values) // ranks)]
        for name, values in whole.items()
    }


def gradients(
    untrained: str,
    share: float,
    text: str = "frozen",
    rank: int = 0,
    ranks: int = 1,
    micro_batch_size: int | None = None,
) -> dict[str, torch.Tensor]:
    config = moving("all", text, micro_batch_size=micro_batch_size, replay=ReplayConfig(share=share))
    clip = load_clip(untrained)
    parameters = prepare(clip, Phase("full", config.full, STEPS), config)
    vision = DistributedDataParallel(clip.vision, broadcast_buffers=False) if ranks > 1 else None
    loss = make_step(clip, config, vision, Ranks(rank, ranks))(shown_batch(rank, ranks)).loss.clone()
    if ranks > 1:
        dist.all_reduce(loss)
        loss /= ranks
    return {"loss": loss} | {name: p.grad for name, p in parameters.items() if p.grad is not None}


def clip_loss(untrained: str) -> dict[str, torch.Tensor]:
    """Radford et al. 2021, Fig. 3, in double precision: the loss of the four images, and all its gradients."""
    clip, batch = load_clip(untrained), shown_batch()
    model = copy.deepcopy(clip.model).double().requires_grad_(True)
    images_RD = F.normalize(model.encode_image(batch["images"].double()), dim=-1)
    texts_RD = F.normalize(model.encode_text(clip.tokenizer(SHOWN)), dim=-1)
    logits_RR = model.logit_scale.exp() * images_RD @ texts_RD.T
    own_R = torch.arange(IMAGES)
    loss = (F.cross_entropy(logits_RR, own_R) + F.cross_entropy(logits_RR.T, own_R)) / 2
    loss.backward()
    return {"loss": loss.detach()} | {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("text", ["frozen", "all"])
def test_a_share_of_the_loss_is_clips_own(untrained, text):
    regions, images = gradients(untrained, 0.0, text), clip_loss(untrained)
    found = gradients(untrained, SHARE, text)
    assert found.keys() == regions.keys()
    assert any(name.startswith("transformer.") for name in found) == (text == "all")
    for name, gradient in found.items():
        expected = (1 - SHARE) * regions[name].double() + SHARE * images[name]
        torch.testing.assert_close(
            gradient.double(), expected, rtol=2e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("micro_batch_size", [1, 3])
def test_micro_batches_give_the_gradients_of_one_batch(untrained, micro_batch_size):
    found = gradients(untrained, SHARE, "all", micro_batch_size=micro_batch_size)
    torch.testing.assert_close(found, gradients(untrained, SHARE, "all"), rtol=1e-3, atol=1e-6)


def rank_main(rank: int, ranks: int, folder: str, untrained: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks)
    found = [gradients(untrained, SHARE, "all", rank, ranks, size) for size in (None, 1)]
    gone = of_all_ranks({f"image-{rank}": "missing_file"}, Ranks(rank, ranks))
    if rank == 0:
        torch.save([found, gone], Path(folder) / "found.pt")
    dist.destroy_process_group()


def test_two_ranks_give_the_gradients_of_one(untrained, tmp_path):
    torch.multiprocessing.spawn(rank_main, args=(2, str(tmp_path), untrained), nprocs=2)
    found, gone = torch.load(tmp_path / "found.pt", weights_only=True)
    for of_two in found:
        torch.testing.assert_close(of_two, gradients(untrained, SHARE, "all"), rtol=1e-3, atol=1e-6)
    assert gone == {"image-0": "missing_file", "image-1": "missing_file"}


def batches(dataset: Path, clip: Clip, replay: Replay, *, first: int = 0, ranks: Ranks | None = None, loaders: int = 0):
    """Batches of 4 regions and 4 images over three epochs of regions: 18 steps, six passes over the images."""
    samples = select_samples(str(dataset), ALL)
    steps = PhaseSteps(seed=5, epochs=3, batch_size=4, first_step=first)
    of_images = ReplayBatches(replay, IMAGES, clip.preprocess, clip.input.size)
    data = replace(ALL, loaders=loaders)
    return list(training_loader(samples, data, steps, clip.input, ranks or Ranks(), replay=of_images))


def selected(dataset: Path, **changes) -> Replay:
    return select_replay(ReplayConfig(share=SHARE, **changes), str(dataset), ALL, IMAGES)


def shown_images(batch: dict, dataset: Path, clip: Clip) -> list[int]:
    """Which of the twelve pictures a batch shows, as plain Pillow and the CLIP's own preprocessing have them."""
    pictures = dataset.parent / "pictures"
    known = [clip.preprocess(Image.open(pictures / f"{number}.jpg")) for number in range(12)]
    return [[pixels.equal(other) for other in known].index(True) for pixels in batch["images"]]


def test_every_image_comes_once_in_a_pass_with_one_of_its_captions(dataset, clip):
    replay = selected(dataset)
    assert len(replay) == 12
    found = batches(dataset, clip, replay)
    assert len(found) == 18
    captions = set()
    for number in range(6):
        numbers = []
        for batch in found[3 * number : 3 * number + 3]:
            shown = shown_images(batch, dataset, clip)
            assert [int(caption.split()[-1]) for caption in batch["captions"]] == shown
            assert batch["images"].shape == (IMAGES, 3, SIDE, SIDE)
            assert batch["unreadable"] == []
            assert len(batch["rows"]) == 4
            captions |= set(batch["captions"])
            numbers += shown
        assert sorted(numbers) == list(range(12))
    assert len(captions) == 24  # both of each, in six passes, with this seed


@pytest.mark.parametrize("loaders", [0, 2])
def test_a_run_that_goes_on_sees_what_was_left(dataset, clip, loaders):
    replay = selected(dataset)
    whole, rest = batches(dataset, clip, replay), batches(dataset, clip, replay, first=5, loaders=loaders)
    assert len(rest) == len(whole) - 5
    for expected, found in zip(whole[5:], rest, strict=True):
        assert found["captions"] == expected["captions"]
        assert found["images"].equal(expected["images"])
        assert found["rows"].equal(expected["rows"])


def test_ranks_share_the_images_of_a_step(dataset, clip):
    replay = selected(dataset)
    whole = batches(dataset, clip, replay)
    parts = [batches(dataset, clip, replay, ranks=Ranks(rank, 2)) for rank in range(2)]
    for expected, first, second in zip(whole, *parts, strict=True):
        assert first["captions"] + second["captions"] == expected["captions"]


def test_regions_come_as_without_images(dataset, clip):
    samples = select_samples(str(dataset), ALL)
    steps = PhaseSteps(seed=5, epochs=3, batch_size=4)
    alone = list(training_loader(samples, ALL, steps, clip.input))
    for expected, found in zip(alone, batches(dataset, clip, selected(dataset)), strict=True):
        assert found["rows"].equal(expected["rows"])


def test_images_that_have_gone_are_told_and_others_stand_in_their_place(dataset, clip):
    replay = selected(dataset)
    (dataset.parent / "pictures/7.jpg").unlink()
    (dataset.parent / "pictures/8.jpg").write_bytes(b"no picture")
    unreadable = {}
    for batch in batches(dataset, clip, replay):
        assert batch["images"].shape[0] == IMAGES
        assert not {"7", "8"} & {caption.split()[-1] for caption in batch["captions"]}
        unreadable |= dict(batch["unreadable"])
    assert {image: reason.partition(":")[0] for image, reason in unreadable.items()} == {
        "image-7": "missing_file",
        "image-8": "not_an_image",
    }
    [line] = told(unreadable, 12)
    assert line.startswith("warning: replay: 2 of 12 images could not be read, and others were shown in their place")
    assert not list(told({}, 12))


def test_all_gone_on_the_way_ends_the_run(dataset, clip):
    replay = selected(dataset)
    for path in (dataset.parent / "pictures").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"replay\.share: none of 12 images of .* \(image-\d+: missing_file"):
        batches(dataset, clip, replay)


def test_all_gone_before_is_said_at_once(dataset):
    for path in (dataset.parent / "pictures").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"replay\.share: none of 8 images of .* \(missing_file: .*\): they have to be"):
        selected(dataset)


def test_a_dataset_without_addresses_is_refused(tmp_path):
    folder = write_dataset(tmp_path / "mined")
    with pytest.raises(UserError, match=r"lists 0 images with an address and captions, and a batch replays 4"):
        selected(folder)
    list_images(folder, tmp_path / "pictures")
    table = storage.read_table(Layout(str(folder)).table("captions", 1))
    for column, value in (("image_uri", ""), ("problem", "no_captions"), ("captions", [])):
        rows = [row | {column: value} for row in table.to_pylist()]
        storage.write_table(pa.Table.from_pylist(rows, table.schema), Layout(str(folder)).table("captions", 1))
        assert selected(folder).table["image_id"].to_pylist() == [f"image-{n}" for n in (0, 1, 2, 3, 8, 9, 10, 11)]


def test_what_is_held_out_is_not_replayed(dataset, tmp_path):
    data = replace(ALL, held_out_share=0.4, fold=1)
    images = [f"image-{number}" for number in range(12)]
    expected = [image for image in images if not is_held_out(image, 0.4) and fold_of(image, 2) == 1]
    assert 0 < len(expected) < 12
    found = select_replay(ReplayConfig(share=0.1), str(dataset), data, len(expected))
    assert found.table["image_id"].to_pylist() == expected
    another = ReplayConfig(share=0.1, dataset=str(dataset))
    assert len(select_replay(another, str(tmp_path / "elsewhere"), data, IMAGES)) == 12


def test_signed_addresses_come_from_the_listing(dataset, tmp_path):
    """The captions table shows them without their signatures; the run's own table, too."""
    layout = Layout(str(dataset))
    table = storage.read_table(layout.table("captions", 0))
    shown = [row | {"image_uri": row["image_uri"] + "?sig=…"} for row in table.to_pylist()]
    storage.write_table(pa.Table.from_pylist(shown, table.schema), layout.table("captions", 0))
    import schemas

    signed = tmp_path / "pictures" / "0.jpg?sig=0123456789abcdef"
    signed.write_bytes((tmp_path / "pictures/0.jpg").read_bytes())
    rows = [{name: row[name] for name in schemas.LISTING.names} for row in shown]
    rows[0]["image_uri"] = str(signed)
    storage.write_table(pa.Table.from_pylist(rows, schemas.LISTING), layout.path("listing", "000000.parquet"))
    replay = selected(dataset)
    replay.write(str(tmp_path / "replay.parquet"))
    again = Replay.read_back(str(tmp_path / "replay.parquet"))
    assert again.sha256 == replay.sha256
    assert "0123456789abcdef" not in (tmp_path / "replay.parquet").read_bytes().decode("latin-1")
    assert Image.open(io.BytesIO(again.read(0))).size == (80, 40)


def config(**changes) -> TrainConfig:
    return TrainConfig(dataset="mined", output="adapted", batch_size=16, mode="full", **changes)


def test_a_share_of_the_batch_are_images():
    assert images_of_a_batch(config()) == 0
    assert images_of_a_batch(config(replay=ReplayConfig(share=0.3))) == 5
    [phase] = plan_phases(config(replay=ReplayConfig(share=0.25)), samples=100)
    assert (phase.images, phase.steps_per_epoch) == (4, 100 // 12)
    both = replace(config(replay=ReplayConfig(share=0.25)), mode="full_then_mask_prompt")
    assert [(phase.images, phase.steps_per_epoch) for phase in plan_phases(both, 100)] == [(4, 8), (0, 6)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"replay": ReplayConfig(share=1.0)}, r"replay\.share .* below 1"),
        ({"replay": ReplayConfig(share=0.05)}, r"replay\.share 0\.05 of batch_size 16 is 1 whole images: it must be 2"),
        ({"replay": ReplayConfig(share=0.99)}, r"is 16 whole images: .* leave room for regions"),
        (
            {"replay": ReplayConfig(share=0.3), "workers": WorkersConfig(count=2)},
            r"is 5 whole images, which workers\.count 2 workers cannot share equally",
        ),
        (
            {"replay": ReplayConfig(share=0.3), "mode": "mask_prompt"},
            r"replay\.share does not apply to mode mask_prompt",
        ),
        ({"replay": ReplayConfig(share=0.3), "mode": "pretrain"}, r"replay\.share does not apply to mode pretrain"),
    ],
)
def test_what_cannot_be_replayed_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        resolve(replace(config(), **changes))
