"""`python -m jobs.segment` as a user types it."""

import io
import json

import numpy as np
import pytest
import yaml
from PIL import Image

from jobs import segment as segment_job
from jobs.command import Command
from pipeline.errors import UserError
from pipeline.segmentation.job import SegmentConfig
from pipeline.segmentation.plan import resolve
from tests.segmentation.colours import fields

CLASSES = ["red thing, fire", "grass", "sea"]


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(fields()).save(folder / "fields.jpg", quality=100, subsampling=0)
    Image.fromarray(fields(40, 1)).save(folder / "thin.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(fields(30, 60)).save(folder / "turned.jpg", exif=turned)
    Image.new("RGB", (20, 30), "black").save(folder / "black.webp")
    (folder / "broken.jpg").write_text("no image")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def arguments(photos, output, tiny_folder, **changes):
    settings = {
        "images": photos,
        "output": output,
        "classes": json.dumps(CLASSES),
        "clip.architecture": f"local-dir:{tiny_folder}",
        "clip.weights": "null",
        "segmentation.templates": "none",
        "proposals.backend": "tests.segmentation.colours:ColourQueries",
        "workers": 1,
    }
    return [f"--{key}={value}" for key, value in (settings | changes).items() if value is not None]


@pytest.mark.usefixtures("ray_cluster")
def test_a_folder_of_images(photos, tiny_folder, tmp_path, capsys):
    output = tmp_path / "out"
    first = arguments(photos, output, tiny_folder)
    assert segment_job.main(first) == 0
    shown = capsys.readouterr()
    assert "4 of 5 images segmented" in shown.out
    assert "broken.jpg: not_an_image" in shown.err
    assert sorted(path.name for path in (output / "labels").iterdir()) == [
        "black.png", "fields.png", "thin.png", "turned.png",
    ]  # fmt: skip
    sizes = {path.stem: Image.open(path).size for path in (output / "labels").iterdir()}
    assert sizes == {"black": (20, 30), "fields": (36, 24), "thin": (1, 40), "turned": (30, 60)}
    for path in (output / "labels").iterdir():
        assert set(np.unique(np.asarray(Image.open(path)))) <= {0, 1, 2, 255}
        Image.open(io.BytesIO((output / "overlays" / f"{path.stem}.jpg").read_bytes())).load()
    [reject] = json.loads((output / "rejects.json").read_text())
    assert reject["image"].endswith("broken.jpg")
    assert [row["names"] for row in json.loads((output / "classes.json").read_text())] == [
        ["red thing", "fire"], ["grass"], ["sea"],
    ]  # fmt: skip

    # Again, without the broken one: nothing is left to do, and what is there stays as it is.
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (output / "labels").iterdir()}
    (photos / "broken.jpg").unlink()
    classes_file = tmp_path / "classes.txt"
    classes_file.write_text("\n".join(CLASSES) + "\n\n", encoding="utf-8-sig")
    assert segment_job.main(arguments(photos, output, tiny_folder, classes=None, classes_file=classes_file)) == 0
    assert "4 of 4 images segmented, 4 of them before" in capsys.readouterr().out
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (output / "labels").iterdir()} == before
    assert json.loads((output / "rejects.json").read_text()) == []

    # Another configuration does not mix with it.
    other = [*first, "--segmentation.weight=0.5"]
    assert segment_job.main(other) == 2
    assert "segmentation.weight: 0.7 → 0.5" in capsys.readouterr().err
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (output / "labels").iterdir()} == before

    # It takes its place if that is wanted; here from images of which none can be used.
    for image in photos.glob("*.*"):
        image.write_bytes(b"")
    assert segment_job.main([*other, "--overwrite"]) == 2
    assert "none of the 4 images" in capsys.readouterr().err
    assert not list(output.glob("labels/*"))
    assert yaml.safe_load((output / "config.yaml").read_text())["configuration"]["segmentation"]["weight"] == 0.5
    assert {reject["reason"] for reject in json.loads((output / "rejects.json").read_text())} == {"empty_file"}


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": "[]"}, "classes: no classes"),
        ({"classes": '[dog, cat, "dog, hound"]'}, "two classes are called 'dog'"),
        ({"classes_file": "classes.txt"}, "classes, classes_file: give one of them"),
        ({"classes": None, "classes_file": "absent.txt"}, "classes_file: cannot use absent.txt"),
        ({"images": "absent"}, "images: cannot use"),
        ({"segmentation.background": "[sea]"}, "segmentation.background: 'sea' is also a class"),
        ({"clip.templates": "imagenet"}, "clip.templates: class names are embedded with segmentation.templates"),
        ({"gpus": 999}, "gpus is 999"),
        ({"workers": 0}, "workers is 0"),
        ({"proposals.backend": "segments", "segmentation.weight": 0}, "segmentation.weight: 0 takes"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(photos, tiny_folder, tmp_path, capsys, changes, message):
    output = tmp_path / "out"
    assert segment_job.main(arguments(photos, output, tiny_folder, **changes)) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.usefixtures("ray_cluster")
def test_two_images_of_one_name_are_refused(photos, tiny_folder, tmp_path, capsys):
    (photos / "thin.jpg").write_bytes((photos / "fields.jpg").read_bytes())
    assert segment_job.main(arguments(photos, tmp_path / "out", tiny_folder)) == 2
    assert "would both write labels/thin.png" in capsys.readouterr().err


def test_a_class_file_that_is_not_utf_8(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_bytes("Tür".encode("latin-1"))
    with pytest.raises(UserError, match=r"classes_file: .*classes\.txt is not text in UTF-8"):
        resolve(SegmentConfig(images="photos", output="out", classes_file=str(file)))


def test_the_example_configuration_is_complete_and_known():
    parsed = Command("jobs.segment", "", SegmentConfig).parser.parse_args(["--config", "jobs/segment.yaml"])
    assert parsed.output == "./segmented"
    assert "sofa, couch" in parsed.classes
