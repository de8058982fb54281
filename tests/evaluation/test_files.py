"""The files of data sets: bits of labels, orientation of images, folders, and what changes under the same name."""

import json
import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import UserError
from pipeline.evaluation.datasets import IGNORE, DatasetConfig, SegmentationDataset, open_dataset
from pipeline.evaluation.datasets.contents import changes, file_digests, summary
from tests.evaluation import distributions
from tests.evaluation.background_distributions import WITH_BACKGROUND
from tests.evaluation.distributions import write_image

LABELS = np.array([[0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of kind `folder` with the classes a, b, c and d, and image x of 40 × 30 pixels without labels."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    write_image(tmp_path / "images/x.jpg", size=LABELS.shape)
    return tmp_path


def opened(folder: Path) -> SegmentationDataset:
    return open_dataset(DatasetConfig("folder", str(folder)))


def png(pixels: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 1, 2, 4, 8 or 16 bits."""
    height, width = pixels.shape
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in pixels]
    else:
        rows = [
            np.packbits((row[:, None] >> np.arange(bits)[::-1] & 1).ravel().astype(bool)).tobytes() for row in pixels
        ]
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_labels_of_any_number_of_bits_are_the_numbers_in_the_file(folder, bits):
    labels = LABELS.copy()
    if bits > 1:
        labels[0] = [0, 1, 2, 3]
    (folder / "labels/x.png").write_bytes(png(labels, bits))
    assert opened(folder).read("x").labels.tolist() == labels.tolist()


@pytest.mark.parametrize("ignored", [255, 65535])
def test_what_does_not_count_in_8_and_16_bits(folder, ignored):
    labels = np.where(LABELS == 0, ignored, LABELS.astype(np.int64)).astype(np.uint8 if ignored == 255 else np.uint16)
    Image.fromarray(labels).save(folder / "labels/x.png")
    assert opened(folder).read("x").labels.tolist() == np.where(LABELS == 0, IGNORE, 1).tolist()


def test_palettes_alpha_and_tiffs(folder):
    def read(name: str, image: Image.Image, **options) -> list:
        for path in (folder / "labels").iterdir():
            path.unlink()
        image.save(folder / "labels" / name, **options)
        return opened(folder).read("x").labels.tolist()

    palette = Image.fromarray(LABELS, "P")
    palette.putpalette([255, 255, 255, 0, 0, 0])
    grey, opaque = Image.fromarray(LABELS), Image.new("L", LABELS.shape[::-1], 255)
    wide = Image.fromarray(LABELS.astype(np.uint16))
    for found in (
        read("x.png", palette),
        read("x.png", palette, bits=1),
        read("x.png", palette, transparency=0),
        read("x.png", Image.merge("LA", [grey, opaque])),
        read("x.tif", grey),
        read("x.tif", grey, tiffinfo={262: 0}),  # 0 is white in the file
        read("x.tif", grey.point(lambda value: 255 * value).convert("1")),
        read("x.tif", wide),
        read("x.tif", Image.fromarray(LABELS.astype(np.int32))),
    ):
        assert found == LABELS.tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "F", "CMYK"])
def test_labels_that_are_no_numbers_are_named(folder, mode):
    suffix = "tif" if mode in ("F", "CMYK") else "png"
    image = Image.fromarray(LABELS).convert(mode)
    if mode == "LA":
        image.putalpha(Image.fromarray(LABELS))
    image.save(folder / f"labels/x.{suffix}")
    with pytest.raises(UserError, match=rf"labels/x\.{suffix} has channels: .*a label image has one of 1 to 16 bits"):
        opened(folder).read("x")


def test_grey_images_of_any_number_of_bits_are_the_same_image(folder):
    (folder / "images/x.jpg").unlink()
    pixels = np.random.default_rng(0).integers(0, 2, (30, 40)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "labels/x.png")
    path = folder / "images/x.png"
    for bits in (1, 2, 4, 8, 16):
        path.write_bytes(png(pixels.astype(np.int64) * (2**bits - 1), bits))
        assert np.array_equal(opened(folder).read("x").image, pixels[..., None].repeat(3, 2) * 255)


# ------------------------------------------------------------------------------------- orientation

UPRIGHT = np.array([[0, 1, 2, 3], [1, 1, 2, 3], [0, 0, 0, 3]], np.uint8)
# What a file has to hold so that a viewer, turning it by this orientation, shows UPRIGHT.
STORED = {
    1: UPRIGHT,
    2: np.fliplr(UPRIGHT),
    3: np.rot90(UPRIGHT, 2),
    4: np.flipud(UPRIGHT),
    5: UPRIGHT.T,
    6: np.rot90(UPRIGHT),
    7: np.rot90(UPRIGHT, 2).T,
    8: np.rot90(UPRIGHT, -1),
}


def write_turned(path: Path, orientation: int) -> None:
    """A JPEG that shows UPRIGHT in four greys, 8 × 8 pixels each."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.ascontiguousarray(STORED[orientation] * 80).repeat(8, 0).repeat(8, 1)
    Image.fromarray(pixels).save(path, quality=95, exif=exif)


def turned_folder(folder: Path, orientation: int, labels: np.ndarray) -> SegmentationDataset:
    write_turned(folder / "images/x.jpg", orientation)
    Image.fromarray(np.ascontiguousarray(labels).repeat(8, 0).repeat(8, 1)).save(folder / "labels/x.png")
    return opened(folder)


def shown(image: np.ndarray) -> list:
    return (image[4::8, 4::8, 0].astype(int) / 80).round().tolist()


@pytest.mark.parametrize("orientation", STORED)
def test_images_and_labels_are_upright(folder, orientation):
    """Labels of the upright image; and of the stored one, where their size says so."""
    given = [UPRIGHT] if orientation < 5 else [UPRIGHT, STORED[orientation]]
    for labels in given:
        sample = turned_folder(folder, orientation, labels).read("x")
        assert shown(sample.image) == UPRIGHT.tolist()
        assert sample.labels[4::8, 4::8].tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("orientation", STORED)
def test_labels_of_distributions_follow_the_stored_image(tmp_path, orientation):
    miniature = distributions.ade20k_150(tmp_path / "data")
    [image_id, *_] = miniature.labels
    write_turned(miniature.images[image_id], orientation)
    labels = np.ascontiguousarray(STORED[orientation] + 1).repeat(8, 0).repeat(8, 1)
    Image.fromarray(labels).save(tmp_path / f"data/annotations/validation/{image_id}.png")
    sample = open_dataset(miniature.config).read(image_id)
    assert shown(sample.image) == UPRIGHT.tolist()
    assert sample.labels[4::8, 4::8].tolist() == UPRIGHT.tolist()


# ------------------------------------------------------------------------------------------ folders


def panoptic(root: Path, change=lambda content: None) -> DatasetConfig:
    """COCO panoptic whose files lie in folders."""
    miniature = distributions.coco_panoptic(root)
    path = root / "annotations/panoptic_val2017.json"
    content = json.loads(path.read_text())
    for record, kind in [*((r, "val2017") for r in content["images"]), *((r, "png") for r in content["annotations"])]:
        folder = root / ("val2017" if kind == "val2017" else "annotations/panoptic_val2017")
        if (folder / record["file_name"]).exists():
            (folder / "park/north").mkdir(parents=True, exist_ok=True)
            (folder / record["file_name"]).rename(folder / "park/north" / record["file_name"])
        record["file_name"] = f"park/north/{record['file_name']}"
    change(content)
    path.write_text(json.dumps(content))
    return miniature.config


def test_panoptic_names_with_folders(tmp_path):
    dataset = open_dataset(panoptic(tmp_path / "data"))
    assert all(dataset.read(image_id).labels.size for image_id in dataset.image_ids)
    (next((tmp_path / "data/val2017/park/north").glob("*139.jpg"))).unlink()
    with pytest.raises(UserError, match=r"val2017/park/north/000000000139\.jpg is missing\. "):
        open_dataset(DatasetConfig("coco_panoptic", str(tmp_path / "data")))


def test_panoptic_ids_as_text(tmp_path):
    def as_text(content: dict) -> None:
        for record in content["annotations"]:
            record["image_id"] = str(record["image_id"])
            for segment in record["segments_info"]:
                segment["id"], segment["category_id"] = str(segment["id"]), float(segment["category_id"])

    plain, text = panoptic(tmp_path / "a"), panoptic(tmp_path / "b", as_text)
    for image_id in open_dataset(plain).image_ids:
        assert np.array_equal(open_dataset(plain).read(image_id).labels, open_dataset(text).read(image_id).labels)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c["categories"].append({"id": c["categories"][0]["id"], "name": "cow"}), "is both .* and 'cow'"),
        (lambda c: c["images"].append({"id": c["images"][0]["id"], "file_name": "y.jpg"}), "is both .* and 'y.jpg'"),
        (lambda c: c["annotations"][0].update(file_name="../../secret.png"), "no name inside the folder"),
        (lambda c: c["images"][0].update(file_name="reference://a::http://host/x.json"), "no name inside the folder"),
        (lambda c: c.update(images=[None]), "not a COCO panoptic annotation file"),
    ],
)
def test_panoptic_files_that_contradict_themselves_or_lead_out(tmp_path, change, says):
    with pytest.raises(UserError, match=says):
        open_dataset(panoptic(tmp_path / "data", change))


def test_hidden_files_are_passed_over(tmp_path):
    """A Mac lays `._NAME` beside every file."""
    miniature = distributions.folder(tmp_path / "data")
    for path in [*(tmp_path / "data").rglob("*.*")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    assert open_dataset(miniature.config).image_ids == sorted(miniature.labels)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are Unicode")
def test_names_that_are_not_utf8(folder):
    name = os.fsdecode(b"caf\xe9")
    for place, suffix in (("images", "jpg"), ("labels", "png")):
        Image.fromarray(LABELS).save(folder / f"{place}/y.{suffix}")
        (folder / f"{place}/y.{suffix}").rename(folder / f"{place}/{name}.{suffix}")
    dataset = opened(folder)
    assert dataset.image_ids == ["caf?"]
    assert dataset.read("caf?").labels.tolist() == LABELS.tolist()


# ------------------------------------------------------------------------------------------- changes


def test_a_changed_file_is_another_data_set_and_named(folder):
    labels = folder / "labels/x.png"
    Image.fromarray(LABELS).save(labels)
    before = file_digests(opened(folder), ["x"])
    os.utime(labels, (0, 0))  # as cp leaves it: another time, the same labels
    assert file_digests(opened(folder), ["x"]) == before
    # Painted over, and set back to the same size and time.
    data = bytearray(labels.read_bytes())
    data[-1] ^= 1
    labels.write_bytes(data)
    os.utime(labels, (0, 0))
    after = file_digests(opened(folder), ["x"])
    assert changes(before, after) == "the label files of x"
    assert summary(before).keys() == {"image_files_sha256", "label_files_sha256"}
    assert summary(before)["image_files_sha256"] == summary(after)["image_files_sha256"]
    assert summary(before)["label_files_sha256"] != summary(after)["label_files_sha256"]
    write_image(folder / "images/x.jpg", seed=1, size=LABELS.shape)
    assert changes(before, file_digests(opened(folder), ["x"])) == "the image files of x and the label files of x"


def test_files_of_every_kind_of_data_set_have_digests(tmp_path):
    for write in [*distributions.MINIATURES, *WITH_BACKGROUND]:
        dataset = open_dataset(write(tmp_path / write.__name__).config)
        found = file_digests(dataset, dataset.image_ids)
        images = len(dataset.image_ids)
        # Labels that stand in a file of all images have their digest in the identity.
        of_labels = 1 if len(dataset.paths_of(dataset.image_ids[0])) == 1 else images
        assert len({digest for both in found.values() for digest in both}) == images + of_labels


def test_a_label_file_that_is_missing_is_named(folder):
    Image.fromarray(LABELS).save(folder / "labels/x.png")
    dataset = opened(folder)
    (folder / "labels/x.png").unlink()
    with pytest.raises(UserError, match=r"labels/x\.png is missing"):
        file_digests(dataset, ["x"])


def test_labels_may_be_no_format_of_another_kind(folder):
    (folder / "labels/x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    with pytest.raises(UserError, match=r"labels/x\.png is not a readable image"):
        opened(folder).read("x")
