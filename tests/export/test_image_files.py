"""`--format coco --images FOLDER`: images of archives as files that masks fit, whatever they are called there."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from jobs import export as export_job
from pipeline import storage
from tests.mining.read_dataset import make

NAMES = (
    "../../escaped.jpg",
    "a/photo.jpg",
    "b/photo.jpg",
    "a\\photo.jpg",
    "ü [1].PNG",
    "con",
    "a/photo.jpg.txt",
    "/abs.jpg",
)


def encoded(number: int) -> bytes:
    """Sizes differ; some are PNG, some lie on their side."""
    buffer, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6 if number % 3 == 1 else 1
    picture = Image.new("RGB", (40 + number, 30), (20 * number, 0, 0))
    picture.save(buffer, "PNG" if number % 3 == 2 else "JPEG", exif=exif)
    return buffer.getvalue()


@pytest.fixture
def mined(tmp_path) -> Path:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number, name in enumerate(NAMES):
            archive.writestr(name, encoded(number))
    return Path(make(tmp_path, [f"zip://{name}::{tmp_path}/photos.zip" for name in NAMES]).uri)


def test_every_file_name_leads_to_an_image_that_the_masks_fit(mined, tmp_path, capsys):
    before = set(tmp_path.rglob("*"))
    to, images = tmp_path / "out" / "pairs.json", tmp_path / "out" / "images"
    arguments = [str(mined), "--format", "coco", "--to", str(to)]
    assert export_job.main(arguments) == 0
    assert f"{len(json.loads(to.read_text())['images'])} images are in archives" in capsys.readouterr().err
    assert export_job.main([*arguments, "--images", str(images)]) == 0
    assert capsys.readouterr().err == "warning: mining is not complete; what is committed was exported\n"
    content = json.loads(to.read_text())
    assert content["info"]["images"] == str(images)
    assert len(content["images"]) == len(list(images.iterdir())) > 5
    assert len({image["file_name"] for image in content["images"]}) == len(content["images"])
    for image in content["images"]:
        picture = Image.open(images / image["file_name"])
        assert picture.size == (image["width"], image["height"])
        number = int(image["source_id"])
        assert sorted(picture.size) == sorted((40 + number, 30))
        assert abs(picture.convert("RGB").getpixel((5, 5))[0] - 20 * number) < 8
    assert {path for path in tmp_path.rglob("*") if path not in before} == {
        tmp_path / "out",
        to,
        images,
        *images.iterdir(),
    }


def test_images_that_are_not_what_they_were(mined, tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr(NAMES[1], encoded(5))
    storage.reading.zip_members.cache_clear()
    arguments = ["--format", "coco", "--to", str(tmp_path / "pairs.json"), "--images", str(tmp_path / "images")]
    assert export_job.main([str(mined), *arguments]) == 2
    assert "error: --images: " in capsys.readouterr().err
    assert not (tmp_path / "pairs.json").exists()


def test_datasets_has_no_use_for_it(mined, tmp_path):
    with pytest.raises(SystemExit):
        export_job.main([str(mined), "--format", "datasets", "--to", str(tmp_path / "x"), "--images", str(tmp_path)])
