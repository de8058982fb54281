"""Which images are meant, and what their outputs are called."""

import os
import zipfile

import pytest

from pipeline.errors import UserError
from pipeline.segmentation.sources import find_images, name_problem

FILES = ("a/1.jpg", "a/2.PNG", "a/notes.txt", "b/1.jpg", "b/deep/1.webp", "c [1]/x{1}.jpg", "d/1.jpg", "d/1.png")


@pytest.fixture
def photos(tmp_path):
    for file in FILES:
        (tmp_path / "photos" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / file).touch()
    (tmp_path / "empty").mkdir()
    return str(tmp_path / "photos")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["a"], {"1": "a/1.jpg", "2": "a/2.PNG"}),
        (["a/"], {"1": "a/1.jpg", "2": "a/2.PNG"}),
        (["a/1.jpg"], {"1": "a/1.jpg"}),
        (["a/1.jpg", "a/2.PNG"], {"1": "a/1.jpg", "2": "a/2.PNG"}),
        (["a", "b"], {"a/1": "a/1.jpg", "a/2": "a/2.PNG", "b/1": "b/1.jpg"}),
        (["a", "a/1.jpg"], {"1": "a/1.jpg", "2": "a/2.PNG"}),
        (["b/deep", "b/1.jpg"], {"1": "b/1.jpg", "deep/1": "b/deep/1.webp"}),
        (["b/**/*"], {"1": "b/1.jpg", "deep/1": "b/deep/1.webp"}),
        (["?/1.jpg"], {"a/1": "a/1.jpg", "b/1": "b/1.jpg", "d/1": "d/1.jpg"}),
        (["{a,b}/1.*"], {"a/1": "a/1.jpg", "b/1": "b/1.jpg"}),
        (["c [1]"], {"x{1}": "c [1]/x{1}.jpg"}),  # characters of patterns, in the name of a folder
        (["c [1]/x{1}.jpg", "a/1.jpg"], {"c [1]/x{1}": "c [1]/x{1}.jpg", "a/1": "a/1.jpg"}),
    ],
)
def test_names_are_paths_below_the_folder_in_common(photos, given, names):
    found = find_images([f"{photos}/{item}" for item in given], f"{photos}/out")
    assert found.images == {name: f"{photos}/{file}" for name, file in names.items()}


def test_a_file_that_is_added_changes_no_name(photos):
    before = find_images([f"{photos}/b/**/*"], "/out")
    os.rename(f"{photos}/d/1.png", f"{photos}/b/new.png")
    after = find_images([f"{photos}/b/**/*"], "/out")
    assert before.folder == after.folder
    assert after.images == before.images | {"new": f"{photos}/b/new.png"}


def test_what_the_job_wrote_is_no_image(photos):
    os.makedirs(f"{photos}/b/out/overlays")
    os.link(f"{photos}/b/1.jpg", f"{photos}/b/out/overlays/1.jpg")
    assert sorted(find_images([f"{photos}/b/**/*"], f"{photos}/b/out").images) == ["1", "deep/1"]


def test_members_of_an_archive(photos):
    with zipfile.ZipFile(f"{photos}/a.zip", "w") as archive:
        archive.writestr("x/1.jpg", b"")
    uri = f"zip://x::{photos}/a.zip"
    assert find_images([uri], "/out").images == {"1": f"zip://x/1.jpg::{photos}/a.zip"}
    assert sorted(find_images([uri, f"{photos}/a"], "/out").images) == ["a.zip/x/1", "a/1", "a/2"]


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_on_s3(s3, s3_uri, photos):
    bucket = s3_uri.removeprefix("s3://")
    for file in FILES:
        s3.client().put_object(Bucket=bucket, Key=f"photos/{file}", Body=b"")
    for given, names in (
        (["photos/a"], {"1": "a/1.jpg", "2": "a/2.PNG"}),
        (["photos/b/**/*"], {"1": "b/1.jpg", "deep/1": "b/deep/1.webp"}),
        (["photos/a", "photos/b/1.jpg"], {"a/1": "a/1.jpg", "a/2": "a/2.PNG", "b/1": "b/1.jpg"}),
    ):
        found = find_images([f"{s3_uri}/{item}" for item in given], f"{s3_uri}/out")
        assert found.images == {name: f"{s3_uri}/photos/{file}" for name, file in names.items()}
    # With images on a disk they have nothing in common.
    both = find_images([f"{s3_uri}/photos/a/1.jpg", f"{photos}/a/1.jpg"], "/out")
    assert sorted(both.images) == sorted([f"s3/{bucket}/photos/a/1", f"file{photos}/a/1"])
    with pytest.raises(UserError, match="images: cannot use s3://no-such-bucket-here/x: the bucket does not"):
        find_images(["s3://no-such-bucket-here/x"], "/out")


def test_hidden_files_are_no_images_unless_they_are_named(photos):
    """A Mac lays `._NAME` beside every file."""
    for file in ("a/._1.jpg", "b/._1.jpg", "b/deep/._1.webp", "b/.hidden.png"):
        open(f"{photos}/{file}", "w").close()
    assert sorted(find_images([f"{photos}/a"], "/out").images) == ["1", "2"]
    assert sorted(find_images([f"{photos}/b/**/*"], "/out").images) == ["1", "deep/1"]
    assert sorted(find_images([f"{photos}/b/.hidden.png"], "/out").images) == [".hidden"]


@pytest.mark.parametrize(
    ("output", "name", "reason"),
    [
        ("/out", "a/1", None),
        ("/out", "x" * 228, None),
        ("/out", "x" * 300, "name_too_long"),
        ("/out", "ü" * 120, "name_too_long"),  # two bytes each
        ("/out", f"a/{'x' * 300}/1", "name_too_long"),
        ("/out", "/".join(["x" * 200] * 6), None),
        ("s3://bucket/out", "x" * 300, None),
        ("s3://bucket/out", "/".join(["x" * 200] * 6), "name_too_long"),
        ("/out", os.fsdecode(b"caf\xe9"), "name_not_utf8"),
        ("s3://bucket/out", os.fsdecode(b"\xff/1"), "name_not_utf8"),
    ],
)
def test_names_under_which_nothing_can_be_written(output, name, reason):
    problem = name_problem(output, name)
    assert (problem and problem.reason) == reason


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "images: no images are given"),
        (["absent"], "images: cannot use .*absent"),
        (["absent.jpg"], "images: cannot use .*absent.jpg"),
        (["absent/*.jpg"], "images: cannot use .*absent"),
        (["*.tiff"], "images: 0 files match"),
        (["a/*.txt"], "holds no images"),
        (["a/notes.txt"], r"notes.txt holds no images"),
        (["."], r"holds no images .* in the folders below it are '.*/\*\*/\*.jpg'"),
        (["../empty"], "empty holds no images"),
        (["d"], "1.jpg and .*1.png would both write labels/1.png"),
    ],
)
def test_what_cannot_be_read(photos, given, message):
    with pytest.raises(UserError, match=message):
        find_images([os.path.normpath(f"{photos}/{item}") for item in given], "/out")
