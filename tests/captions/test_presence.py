"""`captions.images` that does not hold the images is said before any work, with what would be right if it is near."""

import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.captions import CaptionsConfig, ImagesLookedFor, open_captions
from pipeline.errors import UserError


@pytest.fixture(params=["coco", "table"])
def source(request, tmp_path):
    """Opens a source of these names, which lies in a folder of its own."""
    folder = tmp_path / "captions"
    folder.mkdir()

    def opened(names: list[str], images: Path | str) -> ImagesLookedFor:
        if request.param == "coco":
            path = folder / "captions.json"
            records = [{"id": number, "file_name": name} for number, name in enumerate(names)]
            path.write_text(json.dumps({"images": records, "annotations": []}))
        else:
            path = folder / "table.parquet"
            pq.write_table(pa.table({"image": names, "caption": ["a"] * len(names)}), path)
        config = CaptionsConfig(request.param, str(path), images=str(images))
        return ImagesLookedFor(open_captions(config), config)

    return opened


def rows(source: ImagesLookedFor) -> int:
    return sum(len(batch) for batch in source.batches())


def message(source: ImagesLookedFor) -> str:
    with pytest.raises(UserError) as caught:
        rows(source)
    return str(caught.value)


def test_one_image_that_is_there_is_enough(source, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "2.jpg").touch()
    names = [f"{number}.jpg" for number in range(7)]
    assert rows(source(names, tmp_path / "in")) == 7
    assert rows(source(["in\\2.jpg"], tmp_path)) == 1
    # What is elsewhere, or refused, is another's affair.
    assert rows(source(["https://host/a.jpg", "/data/a.jpg", "s3://bucket/a.jpg"], tmp_path / "in")) == 3
    assert rows(source(["a" * 300, "2.jpg/a.jpg", "2.jpg"], tmp_path / "in")) == 3
    assert rows(source(["1.jpg"], "https://host/images")) == 1


def test_a_folder_without_the_images_is_named(source, tmp_path):
    (tmp_path / "images" / "val2017").mkdir(parents=True)
    (tmp_path / "images" / "val2017" / "1.jpg").touch()
    folder = tmp_path / "images"
    said = message(source(["1.jpg", "2.jpg"], folder))
    assert said.startswith(f"captions.images: {folder} does not hold any of the first 2 images, such as '1.jpg'")
    assert said.endswith(f"set captions.images to {tmp_path}/images/val2017")
    said = message(source(["val2017\\1.jpg"], tmp_path / "images" / "val2017"))
    assert "the first image, such as 'val2017\\\\1.jpg'" in said
    said = message(source(["val2017/1.jpg"], tmp_path / "images" / "val2017"))
    assert said.endswith("it has '1.jpg': set captions.images to the folder in which 'val2017' is")
    assert "it holds 'val2017'" in message(source(["9.jpg"], tmp_path / "images"))


def test_a_folder_inside_an_archive_is_found(source, tmp_path):
    with zipfile.ZipFile(tmp_path / "val.zip", "w") as archive:
        archive.writestr("val2017/1.jpg", b"image")
    said = message(source(["1.jpg"], tmp_path / "val.zip"))
    assert said.endswith(f"in 'val2017': set captions.images to zip://val2017::{tmp_path}/val.zip")
    assert rows(source(["1.jpg"], f"zip://val2017::{tmp_path}/val.zip")) == 1
    assert rows(source(["val2017\\1.jpg"], tmp_path / "val.zip")) == 1
    assert "begins with 'val2017/1.jpg'" in message(source(["2.jpg"], tmp_path / "val.zip"))


NOT_FOLDERS = [
    "reference://::{0}/r.json", "ftp://host/images", "tar://in::{0}/a.tar", "memory://images", "a::b::{0}/a.zip",
]  # fmt: skip


@pytest.mark.parametrize("images", NOT_FOLDERS)
def test_images_that_are_neither_a_folder_nor_a_zip_archive_are_refused(source, images, tmp_path):
    with pytest.raises(UserError, match=r"^captions\.images: .* neither a folder, a prefix nor a zip archive"):
        source(["1.jpg"], images.format(tmp_path))


def test_a_tar_of_images_is_told_from_a_folder(source, tmp_path):
    (tmp_path / "images.tar").touch()
    with pytest.raises(UserError, match=r"^captions\.images: .*images\.tar is a file.*captions\.format webdataset"):
        source(["1.jpg"], tmp_path / "images.tar")


def test_a_source_of_which_no_address_is_read_is_refused(source, tmp_path):
    names = ["..\\..\\label-studio\\1.jpg", "../2.jpg", "ftp://host/3.jpg"]
    said = message(source(names, tmp_path))
    assert "none of the images may be read" in said
    assert "label-studio" in said or "2.jpg" in said
    (tmp_path / "4.jpg").touch()
    assert rows(source([*names, "4.jpg"], tmp_path)) == 4
