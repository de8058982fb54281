"""Banks that are whole, and those that are not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from pipeline.bank import check_bank, open_bank
from pipeline.bank.classifier import BankClassifier
from pipeline.bank.config import BankConfig
from pipeline.bank.description import BankRegions, read_description
from pipeline.bank.search import embeddings_of
from pipeline.bank.segments import without_segment, write_description
from pipeline.errors import UserError
from pipeline.regions import RegionsConfig
from tests.bank.banks import CLIP, unit, write_bank
from tests.clip.conftest import tiny, tiny_folder

__all__ = ["tiny", "tiny_folder"]

NOUNS = ["dog", "sea", "dog", "tree", "sea", "sky"]
VECTORS = unit(np.random.default_rng(0).normal(size=(6, 32)))


@pytest.fixture
def folder(tmp_path):
    write_bank(tmp_path, VECTORS, NOUNS, files=2)
    return tmp_path


def test_what_is_in_it(folder):
    bank = open_bank(str(folder), check=True)
    assert (bank.entries, bank.nouns) == (6, ["dog", "sea", "sky", "tree"])
    assert [bank.nouns[index] for index in bank.noun_of_row] == NOUNS
    assert [bank.entry(row).noun for row in range(6)] == NOUNS
    assert bank.entry(4).key == "000000-00004-000"
    np.testing.assert_array_equal(embeddings_of(bank, np.array([5, 0])), VECTORS[[5, 0]].astype(np.float16))
    assert bank.rows_of_image("sha-1").tolist() == bank.rows_of_image(None, "/images/1.jpg").tolist() == [2, 3]
    assert bank.rows_of_image("sha-0", "/images/2.jpg").tolist() == [0, 1, 4, 5]
    assert bank.rows_of_image("another", None).tolist() == []
    assert bank.holds(None, "/images/0.jpg")
    assert not bank.holds("", None)


def test_a_dataset_more_and_a_dataset_less(folder):
    first = read_description(str(folder), "key")
    both = write_bank(folder, VECTORS[:4], ["cat", *NOUNS[1:4]], segment="f" * 16, before=first)
    bank = open_bank(str(folder), check=True)
    assert (bank.entries, bank.nouns) == (10, ["cat", "dog", "sea", "sky", "tree"])
    assert [bank.entry(row).segment.name[0] for row in (0, 6)] == ["0", "f"]
    assert bank.description.sha256 != first.sha256
    write_description(str(folder), without_segment(both, "/mined/" + "f" * 16))
    assert open_bank(str(folder), check=True).description == first
    assert not list((folder / "segments" / ("f" * 16)).iterdir())
    with pytest.raises(UserError, match="--remove: dogs names 0 of the datasets in the bank, which has: /mined/0123"):
        without_segment(first, "dogs")


def cut(file):
    file.write_bytes(file.read_bytes()[:-100])


def flip(file):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, r"000000-[0-9a-f]{12}\.arrow has \d+ bytes, not \d+"),
        (flip, "differs from its checksum"),
        (lambda file: file.unlink(), "is missing"),
    ],
)
@pytest.mark.parametrize("which", ["000000-*", "nouns-*"])
def test_damaged_files(folder, damage, message, which):
    [file] = (folder / "segments").glob(f"*/{which}")
    damage(file)
    with pytest.raises(UserError, match=message.replace("000000", which[:-2])) as error:
        open_bank(str(folder), check=True)
    assert f"segmentation.bank.path: {folder} is damaged" in str(error.value)


def rewritten(folder, **changes):
    content = json.loads((folder / "bank.json").read_text())
    (folder / "bank.json").write_text(json.dumps(content | changes))


def segments(folder):
    return json.loads((folder / "bank.json").read_text())["segments"]


def with_file(folder, **changes):
    [segment] = segments(folder)
    segment["files"][0] |= changes
    return [segment]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: {"version": 2}, "format version 2, and this program reads version 1"),
        (lambda folder: {"format": "coco"}, "is no description of a bank"),
        (lambda folder: {"width": 64}, "it has the columns"),
        (lambda folder: {"width": True}, "width is 'True'"),
        (lambda folder: {"width": 0}, "width is 0"),
        (lambda folder: {"clip": {"size": 3}}, r"clip has \['size'\] instead of"),
        (lambda folder: {"segments": segments(folder) * 2}, "two segments have the same name"),
        (lambda folder: {"regions": {"fill": "red", "expand": 1.0}}, "regions is BankRegions"),
        (lambda folder: {"templates": "mine"}, "templates is 'mine'"),
        (lambda folder: {"segments": []}, "it has no entry; add a dataset"),
        (lambda folder: {"segments": with_file(folder, file="../../x.arrow")}, "is no file of segment"),
        (lambda folder: {"segments": with_file(folder, file="segments/" + "f" * 16 + "/000000-0123456789ab.arrow")},
         "is no file of segment"),
        (lambda folder: {"segments": with_file(folder, rows=99)}, "other rows than its 6 pairs"),
        (lambda folder: {"segments": with_file(folder, sha256="x")}, "has no size or checksum"),
    ],
)  # fmt: skip
def test_descriptions_edited_by_hand(folder, change, message):
    rewritten(folder, **change(folder))
    with pytest.raises(UserError, match=message):
        open_bank(str(folder))


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format": "ovseg-bank", "version": 1}', b"\xff"])
def test_descriptions_that_are_none(folder, content):
    (folder / "bank.json").write_bytes(content)
    with pytest.raises(UserError, match=r"bank\.json is damaged"):
        open_bank(str(folder))


def test_a_folder_that_is_no_bank(tmp_path):
    with pytest.raises(UserError, match=r"has no bank\.json, so it is no bank, or one that was not finished"):
        open_bank(str(tmp_path))
    with pytest.raises(UserError, match=r"segmentation\.bank\.path"):
        open_bank(str(tmp_path / "absent"))


def test_embeddings_that_are_no_directions(tmp_path):
    vectors = VECTORS.copy()
    vectors[3, 0] = np.nan
    write_bank(tmp_path, vectors, NOUNS)
    with pytest.raises(UserError, match="the embedding of row 3 is not of unit length"):
        open_bank(str(tmp_path), check=True)


def test_a_bank_of_another_clip(tiny):
    clip = replace(CLIP, vision_sha256=tiny.vision_weights_sha256(), text_sha256=tiny.text_weights_sha256())
    description = write_bank_description(clip)
    check_bank(description, tiny, RegionsConfig())
    for changed, regions, message in (
        (
            replace(description, clip=CLIP),
            RegionsConfig(),
            "the bank is of another CLIP, tiny : the SHA-256 of its vision",
        ),
        (replace(description, clip=replace(clip, text_sha256="d" * 64)), RegionsConfig(), "of its text tower"),
        (replace(description, clip=replace(clip, size=48)), RegionsConfig(), "inputs of size, mean and std"),
        (
            description,
            RegionsConfig(fill="zero", expand=1.5),
            "regions.fill is 'zero' here and 'mean' in the bank and ",
        ),
        (replace(description, regions=BankRegions("none", 1.0)), RegionsConfig(), "'none' in the bank"),
    ):
        with pytest.raises(UserError, match=message):
            check_bank(changed, tiny, regions)


def write_bank_description(clip):
    from pipeline.bank.description import BankDescription

    return BankDescription(clip, 32, "vild", BankRegions("mean", 1.0), [])


def test_a_bank_of_another_width(folder):
    classifier = BankClassifier(open_bank(str(folder)), BankConfig())
    with pytest.raises(UserError, match=r"have 32 numbers, those of clip\.… 16"):
        classifier.for_classes([("dog",)], unit(np.ones((1, 16))), 100.0)
