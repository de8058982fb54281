"""`jobs.export --format bank`: what is in a bank, that it carries on, and what it refuses."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
import webdataset
import yaml
from PIL import Image

from jobs import export as export_job
from pipeline.bank import open_bank
from pipeline.bank.search import embeddings_of
from pipeline.clip import TextEmbedder
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.regions import masked_regions
from tests.clip.conftest import tiny, tiny_folder
from tests.shard_samples import rectangle

__all__ = ["tiny", "tiny_folder"]

NOUNS = ["dog", "sea", "tree"]


def pairs(seed: int, images: range):
    rng = np.random.default_rng(seed)
    for image in images:
        pixels = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        for noun in range(2):
            mask = rectangle(40, 50, *rng.integers(0, 10, 2).tolist(), *rng.integers(20, 40, 2).tolist())
            yield Pair(str(image), pixels, mask, NOUNS[(image + noun) % 3])


def write_dataset(folder, seed: int = 0) -> str:
    """Two shards with four and six pairs; nobody mined it, so its images were never files."""
    folder.mkdir()
    describe_pairs(folder, 2, 5)
    write_pairs(folder, 0, pairs(seed, range(2)))
    write_pairs(folder, 1, pairs(seed, range(2, 5)))
    return str(folder)


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "mined")


@pytest.fixture
def export(tiny_folder, tmp_path):
    clip = ["--clip.architecture", f"local-dir:{tiny_folder}"]

    def run(*arguments: str) -> int:
        more = clip if "--remove" not in arguments and "--clip.architecture" not in arguments else []
        return export_job.main([*arguments, "--format", "bank", "--to", str(tmp_path / "bank"), *more])

    return run


def content(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_bank_holds_what_clip_sees_in_the_stored_regions(dataset, export, tiny, tmp_path, capsys):
    assert export(dataset) == 0
    said = capsys.readouterr()
    assert "2 shards encoded\n" in said.out
    assert "10 mined regions of 1 datasets, for segmentation.bank.path" in said.out
    assert "warning: 5 images have no SHA-256" in said.err
    bank = open_bank(str(tmp_path / "bank"), check=True)
    tars = [str(tar) for tar in sorted((tmp_path / "mined" / "shards").iterdir())]
    samples = list(webdataset.WebDataset(tars, shardshuffle=False))
    assert [bank.entry(row).key for row in range(10)] == [sample["__key__"] for sample in samples]
    for row, sample in enumerate(samples):
        entry = bank.entry(row)
        assert (entry.noun, entry.image_id) == (sample["txt"].decode(), json.loads(sample["json"])["image_id"])
        crop = torch.from_numpy(np.array(Image.open(io.BytesIO(sample["jpg"])))).permute(2, 0, 1)
        mask = torch.from_numpy(np.array(Image.open(io.BytesIO(sample["mask.png"])), dtype=bool))
        pixels, masks, *_ = masked_regions(crop, mask[None], clip_input=tiny.input)
        with torch.inference_mode():
            expected = F.normalize(tiny.vision(pixels, masks).float(), dim=-1)[0].numpy()
        np.testing.assert_allclose(embeddings_of(bank, np.array([row]))[0], expected, atol=2e-3)
    assert bank.nouns == NOUNS
    np.testing.assert_allclose(bank.noun_embeddings, TextEmbedder(tiny, "vild")(NOUNS).numpy(), atol=1e-3)


def test_the_same_again_encodes_what_is_missing_and_gives_the_same_bytes(dataset, export, tmp_path, capsys):
    bank = tmp_path / "bank"
    assert export(dataset) == 0
    whole = content(bank)
    first, *_ = [file for file in whole if "000000-" in file]
    (bank / first).unlink()
    (bank / "bank.json").unlink()  # killed before it was whole
    (bank / first).with_name(f".{(bank / first).name}.0123456789abcdef.tmp").write_bytes(b"of a run that was killed")
    capsys.readouterr()
    assert export(dataset) == 0
    assert "1 shards encoded, 1 were there before" in capsys.readouterr().out
    assert content(bank) == whole
    shutil.rmtree(bank)
    assert export(dataset) == 0
    assert content(bank) == whole


def test_datasets_are_added_and_taken_out_without_touching_the_others(dataset, export, tmp_path, capsys):
    bank = tmp_path / "bank"
    other = write_dataset(tmp_path / "other", seed=1)
    assert export(dataset) == 0
    one = content(bank)
    assert export(other) == 0
    assert open_bank(str(bank), check=True).entries == 20
    both = content(bank)
    assert {name: both[name] for name in one if name != "bank.json"} == {
        name: data for name, data in one.items() if name != "bank.json"
    }
    assert export("--remove", other) == 0
    assert content(bank) == one
    assert export(other, dataset) == 0  # in another order
    assert "2 shards encoded, 2 were there before" in capsys.readouterr().out
    assert content(bank) == both
    assert export("--remove", str(tmp_path / "absent")) == 2
    assert "names 0 of the datasets in the bank" in capsys.readouterr().err


def test_a_condition_on_the_pairs(dataset, export, tmp_path, capsys):
    assert export(dataset, "--where", "noun = 'dog'") == 0
    bank = open_bank(str(tmp_path / "bank"), check=True)
    assert bank.nouns == ["dog"]
    [segment] = bank.description.segments
    assert (segment.where, segment.pairs) == ("noun = 'dog'", bank.entries)
    before = set(content(tmp_path / "bank"))
    assert export(dataset) == 0  # another selection of the same dataset takes its place
    assert open_bank(str(tmp_path / "bank"), check=True).entries == 10
    assert len(before & set(content(tmp_path / "bank"))) == 1  # bank.json
    assert export(dataset, "--where", "noun = 'unicorn'") == 2
    assert "--where: none of the 10 pairs fulfils" in capsys.readouterr().err


def test_what_is_refused(dataset, export, tmp_path, tiny_folder, capsys):
    def refused(message: str, *arguments: str) -> None:
        assert export(*arguments) == 2
        assert message in capsys.readouterr().err

    assert export_job.main([dataset, "--format", "bank", "--to", str(tmp_path / "bank")]) == 2
    assert "names no CLIP; name one with --clip.architecture" in capsys.readouterr().err
    refused("shows more than", dataset, "--regions.expand", "1.5")
    refused("is no bank, so there is nothing to remove from it", "--remove", dataset)
    assert export(dataset) == 0
    refused("differences (there → now): regions: {'fill': 'mean', 'expand': 1.0} →", dataset, "--regions.fill", "zero")
    another = tmp_path / "another-clip"
    shutil.copytree(tiny_folder, another)
    config = json.loads((another / "open_clip_config.json").read_text())
    config["preprocess_cfg"]["mean"] = [0.1, 0.2, 0.3]
    (another / "open_clip_config.json").write_text(json.dumps(config))
    refused("is a bank of another CLIP", dataset, "--clip.architecture", f"local-dir:{another}")
    tar = tmp_path / "mined" / "shards" / "000001.tar"
    data = bytearray(tar.read_bytes())
    data[600:700] = bytes(100)
    tar.write_bytes(data)
    shutil.rmtree(tmp_path / "bank")
    refused("000001.tar is damaged: the sample at byte 0", dataset)
    assert not (tmp_path / "bank" / "bank.json").exists()
    (tmp_path / "bank" / "notes.txt").write_text("mine")
    refused("holds notes.txt and no bank.json, so it is no bank", dataset)


def test_the_clip_that_matched_the_dataset_must_still_be_the_same(dataset, tiny, tiny_folder, tmp_path, capsys):
    file = tmp_path / "mined" / "config.yaml"
    description = yaml.safe_load(file.read_text())
    description["configuration"] |= {"clip": {"architecture": f"local-dir:{tiny_folder}", "weights": None}}
    arguments = [dataset, "--format", "bank", "--to", str(tmp_path / "bank")]
    for sha256, code in (("0" * 64, 2), (tiny.weights_sha256(), 0)):
        description["models"] = {"clip": {"sha256": sha256}}
        file.write_text(yaml.safe_dump(description))
        assert export_job.main(arguments) == code
    assert "which has other weights now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "coco"], "--format coco takes one OUTPUT, and 0 are given"),
        (["a", "b", "--format", "datasets"], "takes one OUTPUT, and 2 are given"),
        (["a", "--format", "coco", "--clip.weights", "x"], "--clip.weights is for --format bank"),
        (["--format", "bank"], "--format bank takes an OUTPUT to add, or --remove OUTPUT"),
        (["a", "--format", "bank", "--remove", "b"], "--format bank takes an OUTPUT to add, or --remove OUTPUT"),
        (["a", "--format", "bank", "--images", "b"], "--images is for --format coco and fiftyone"),
    ],
)
def test_command_lines_without_meaning(arguments, message, capsys):
    with pytest.raises(SystemExit) as ended:
        export_job.main([*arguments, "--to", "x"])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
