"""`python -m jobs.segment` as a user types it."""

import io
import json
import os

import numpy as np
import pytest
import yaml
from PIL import Image

from jobs import segment as segment_job
from jobs.command import Command
from pipeline.errors import UserError
from pipeline.evaluation.datasets.coco_panoptic import CocoPanoptic
from pipeline.evaluation.datasets.distribution import Distribution
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.plan import resolve
from tests.disturbed_jobs import run
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


def labels_of(output, name):
    """A label map as it was written: 255 for pixels without a label."""
    return np.asarray(Image.open(output / "labels" / f"{name}.png"))


def check_panoptic(output):
    """The rules by which COCO's panopticapi reads a prediction, and that it says what the label maps say."""
    content = json.loads((output / "panoptic.json").read_text())
    known, images = ({row["id"]: row for row in content[key]} for key in ("categories", "images"))
    assert sorted(images) == sorted(annotation["image_id"] for annotation in content["annotations"])
    for annotation in content["annotations"]:
        pixels = np.asarray(Image.open(output / "panoptic" / annotation["file_name"])).astype(np.uint32)
        ids = pixels[:, :, 0] + 256 * pixels[:, :, 1] + 256**2 * pixels[:, :, 2]
        segments = {segment["id"]: segment for segment in annotation["segments_info"]}
        assert set(np.unique(ids).tolist()) - {0} == segments.keys()
        image = images[annotation["image_id"]]
        assert ids.shape == (image["height"], image["width"])
        name = annotation["file_name"].removesuffix(".png")
        assert image["file_name"].startswith(f"{name}.")
        labels = labels_of(output, name)
        assert ((ids == 0) == (labels == 255)).all()
        for number, segment in segments.items():
            assert segment["category_id"] in known
            assert segment["area"] == (ids == number).sum()
            assert (labels[ids == number] == segment["category_id"] - 1).all()
            assert 0 < segment["score"] <= 1
    return [image["file_name"] for image in content["images"]]


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

    # The panoptic segmentation leaves out what could not be used; the reader of COCO's own agrees with the label maps.
    assert check_panoptic(output) == ["black.webp", "fields.jpg", "thin.png", "turned.jpg"]
    panoptic = CocoPanoptic("", Distribution(str(tmp_path), ""), "photos", "out/panoptic.json", "out/panoptic")
    assert panoptic.classes == [("red thing",), ("grass",), ("sea",)]
    for number, name in (("2", "fields"), ("3", "thin")):
        assert (panoptic.read(number).labels.astype(np.uint8) == labels_of(output, name)).all()

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
        ({"images": None}, "images: no images are given"),
        ({"classes": "dog, cat/tom, dog"}, "two classes are called 'dog'"),
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
def test_files_folders_and_patterns_with_classes_as_text(photos, tiny_folder, tmp_path, capsys):
    output, more = tmp_path / "out", tmp_path / "more" / "deep"
    more.mkdir(parents=True)
    (photos / "broken.jpg").unlink()
    for name in (f"{'f' * 240}.jpg", os.fsdecode(b"f\xe9.jpg")):  # which nothing can be called that is written
        Image.fromarray(fields()).save(tmp_path / "more" / "unwritable.png")
        (tmp_path / "more" / "unwritable.png").rename(tmp_path / "more" / name)
    for name in ("fields.jpg", "new [1].jpg"):  # of one name with another, and with the characters of patterns
        Image.fromarray(fields(20, 30)).save(more / name, quality=100, subsampling=0)
    changes = arguments(photos, output, tiny_folder, images=None, classes="red thing/fire, grass, sea")
    given = [str(photos), f"{tmp_path}/more/**/f*.jpg"]
    assert segment_job.main([*given, *changes]) == 0
    assert "5 of 7 images segmented" in capsys.readouterr().out
    reasons = [reject["reason"] for reject in json.loads((output / "rejects.json").read_text())]
    assert sorted(reasons) == ["name_not_utf8", "name_too_long"]
    assert json.loads((output / "classes.json").read_text())[0]["names"] == ["red thing", "fire"]
    assert check_panoptic(output) == [
        "more/deep/fields.jpg", "photos/black.webp", "photos/fields.jpg", "photos/thin.png", "photos/turned.jpg",
    ]  # fmt: skip
    assert labels_of(output, "more/deep/fields").shape == (20, 30)
    assert labels_of(output, "photos/fields").shape == (24, 36)

    # The same classes as a list, and one image more: only that is left to do.
    before = {path: path.stat().st_mtime_ns for path in (output / "labels").rglob("*.png")}
    again = arguments(photos, output, tiny_folder, images=None)
    assert segment_job.main([*given, str(more / "new [1].jpg"), *again]) == 0
    assert "6 of 8 images segmented, 5 of them before" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert check_panoptic(output)[1] == "more/deep/new [1].jpg"
    assert (output / "overlays" / "more" / "deep" / "new [1].jpg").exists()

    # Images of another folder would have other names.
    assert segment_job.main([str(photos), *again]) == 2
    assert f"source.folder: '{tmp_path}' → '{photos}'" in capsys.readouterr().err


@pytest.mark.soak
@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_on_s3_lies_what_a_local_run_writes(s3, s3_uri, photos, tiny_folder, forked_workers, tmp_path):
    bucket, client, output = s3_uri.removeprefix("s3://"), s3.client(), tmp_path / "out"
    for name in ("fields.jpg", "thin.png"):
        client.upload_file(str(photos / name), bucket, f"photos/a/{name}")
    # In a process of its own: the workers of this one's Ray do not know the server.
    remote = [f"{s3_uri}/photos/**/*", *arguments(photos, f"{s3_uri}/out", tiny_folder, images=None)]
    log = tmp_path / "log.txt"
    assert run("segment", remote, log, forked_workers) == 0, log.read_text()
    files = [str(photos / name) for name in ("fields.jpg", "thin.png")]
    assert segment_job.main([*files, *arguments(photos, output, tiny_folder, images=None)]) == 0
    for kind, suffix in (("labels", "png"), ("overlays", "jpg"), ("panoptic", "png"), ("segments", "json")):
        for name in ("fields", "thin"):
            found = client.get_object(Bucket=bucket, Key=f"out/{kind}/a/{name}.{suffix}")["Body"].read()
            assert found == (output / kind / f"{name}.{suffix}").read_bytes()
    found = json.loads(client.get_object(Bucket=bucket, Key="out/panoptic.json")["Body"].read())
    expected = json.loads((output / "panoptic.json").read_text())
    assert found["categories"] == expected["categories"]
    assert [row["uri"] for row in found["images"]] == [
        f"{s3_uri}/photos/a/{name}" for name in ("fields.jpg", "thin.png")
    ]


@pytest.mark.usefixtures("ray_cluster")
def test_two_images_of_one_name_are_refused(photos, tiny_folder, tmp_path, capsys):
    (photos / "thin.jpg").write_bytes((photos / "fields.jpg").read_bytes())
    assert segment_job.main(arguments(photos, tmp_path / "out", tiny_folder)) == 2
    assert "would both write labels/thin.png" in capsys.readouterr().err


def test_a_class_file_that_is_not_utf_8(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_bytes("Tür".encode("latin-1"))
    with pytest.raises(UserError, match=r"classes_file: .*classes\.txt is not text in UTF-8"):
        resolve(SegmentJobConfig(images="photos", output="out", classes_file=str(file)))


@pytest.mark.parametrize("given", ["classes.txt", " lists/classes.TXT", "@classes.txt", ["classes.json"], "my.classes"])
def test_the_name_of_a_file_is_no_class(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.classes").write_text("dog")
    with pytest.raises(UserError, match=r"classes: .* is the name of a file.* use --classes_file .*[cC]lasses"):
        resolve(SegmentJobConfig(images="photos", output="out", classes=given))


@pytest.mark.parametrize("given", ["dog", "st. bernard", "dog, classes.txt", ["st. bernard", "a.txt"]])
def test_classes_that_are_none_of_a_file(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog").mkdir()
    assert resolve(SegmentJobConfig(images="photos", output="out", classes=given))[1]


def test_a_class_file_may_be_a_json_list(tmp_path):
    file = tmp_path / "classes.json"
    for content, classes in (('["dog", "door, double door"]', [("dog",), ("door", "double door")]), ("a\nb", None)):
        file.write_text(content)
        found = resolve(SegmentJobConfig(images="photos", output="out", classes_file=str(file)))[1]
        assert found == (classes or [("a",), ("b",)])
    for content in ('{"0": "dog"}', "[1, 2]", '["dog"', "[dog]"):
        file.write_text(content)
        with pytest.raises(UserError, match=r"classes_file: .*JSON"):
            resolve(SegmentJobConfig(images="photos", output="out", classes_file=str(file)))


def test_things_are_classes():
    with pytest.raises(UserError, match=r"things: 'cat' are no first names of the classes"):
        resolve(SegmentJobConfig(images="photos", output="out", classes="dog, sky", things=["dog", "cat"]))


def test_the_example_configuration_is_complete_and_known():
    parsed = Command("jobs.segment", "", SegmentJobConfig).parser.parse_args(["--config", "jobs/segment.yaml"])
    assert parsed.output == "./segmented"
    assert "sofa, couch" in parsed.classes
