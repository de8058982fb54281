"""Images that changed after their shard was committed are found: all by --images, and most at a quick look."""

import hashlib
import os
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import schemas
from jobs import inspect
from pipeline import storage
from pipeline.captions import measure_listing, read_shard, stored_listing
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.inspection.verify import verify
from pipeline.mining.originals import check_originals, find_changed
from tests.mining.read_dataset import BEGUN, IMAGES, SHARDS, Source, make, picture


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    folder = tmp_path / "photos [1]"
    folder.mkdir()
    paths = [folder / f"bücher {number}.jpg" for number in range(SHARDS * IMAGES)]
    for number, path in enumerate(paths):
        path.write_bytes(picture(number))
        os.utime(path, (BEGUN - 1000, BEGUN - 1000))
    return paths


@pytest.fixture
def layout(tmp_path, photos) -> Layout:
    return make(tmp_path, [str(path) for path in photos])


def test_rows_say_what_was_read(layout, photos):
    rows = [row for shard in range(SHARDS) for row in storage.read_table(layout.table("manifests", shard)).to_pylist()]
    assert [row["image_sha256"] for row in rows] == [hashlib.sha256(path.read_bytes()).hexdigest() for path in photos]
    assert [row["image_bytes"] for row in rows] == [path.stat().st_size for path in photos]


def test_rejected_images_that_were_read_are_described_too(tmp_path, photos):
    photos[1].write_bytes(b"no image")
    photos[2].unlink()
    layout = make(tmp_path, [str(path) for path in photos])
    rows = {row["image_id"]: row for row in storage.read_table(layout.table("rejects", 0)).to_pylist()}
    assert (rows["001"]["reason"], rows["001"]["image_bytes"]) == ("not_an_image", 8)
    assert rows["001"]["image_sha256"] == hashlib.sha256(b"no image").hexdigest()
    assert (rows["002"]["reason"], rows["002"]["image_bytes"]) == ("missing_file", None)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_dataset_on_other_storage_is_looked_at_in_parts(s3, s3_uri, photos, layout):
    remote = Layout(f"{s3_uri}/mined")
    for path in Path(layout.uri).rglob("*.*"):
        storage.upload(path, remote.path(str(path.relative_to(layout.uri))))
    check_originals(remote)
    photos[8].write_bytes(picture(99))
    os.utime(photos[8], (BEGUN - 1000, BEGUN - 1000))
    with pytest.raises(UserError, match=r"1 images of 1 of the 5"):
        check_originals(remote)


def test_unchanged_images_are_fine_and_absent_ones_are_counted(layout, photos):
    check_originals(layout)
    said = []
    assert verify(layout.uri, images=True, remark=said.append) == verify(layout.uri) == said == []
    photos[0].unlink()
    check_originals(layout)
    assert verify(layout.uri, images=True, remark=said.append) == []
    assert "1 images are not there any more" in said[0]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    os.utime(path, (BEGUN - 9, BEGUN - 9))


def replaced(path: Path) -> None:
    path.write_bytes(picture(200))
    os.utime(path, (BEGUN + 9, BEGUN + 9))


@pytest.mark.parametrize("change", [cut_short, replaced])
def test_a_changed_file_is_found_at_a_quick_look(change: Callable[[Path], None], layout, photos, capsys):
    for number in (4, 5, 13):
        change(photos[number])
    said = r"(?s)3 images of 2 of the 5 committed shards.*bücher 4\.jpg.*shard 1.*--overwrite"
    with pytest.raises(UserError, match=said):
        check_originals(layout)
    assert {shard: len(names) for shard, names in find_changed(layout, range(SHARDS)).changed.items()} == {1: 2, 4: 1}
    assert inspect.main([layout.uri, "--verify"]) == 1
    assert "manifests/000001.parquet: made from 2 images that changed" in capsys.readouterr().out
    assert inspect.main([layout.uri, "--repair"]) == 0
    assert layout.committed() == {0, 2, 3}
    check_originals(layout)


def test_a_file_of_the_same_size_and_time_is_found_when_all_are_read(layout, photos):
    photos[7].write_bytes(picture(77))
    os.utime(photos[7], (BEGUN - 1000, BEGUN - 1000))
    assert verify(layout.uri) == []
    assert [damage.file for damage in verify(layout.uri, images=True)] == ["manifests/000002.parquet"]


def test_members_of_archives_are_compared_by_content(tmp_path, photos):
    archive = tmp_path / "photos.zip"

    def pack(paths: list[Path]) -> None:
        with zipfile.ZipFile(archive, "w") as opened:
            for path in paths:
                opened.write(path, path.name)

    pack(photos)
    layout = make(tmp_path, [f"zip://{path.name}::{archive}" for path in photos])
    check_originals(layout)
    photos[2].write_bytes(picture(200))
    pack(photos)
    storage.reading.zip_members.cache_clear()  # another process has none
    with pytest.raises(UserError, match=r"1 images of 1 of the 5"):
        check_originals(layout)


def test_a_flipped_byte_in_the_listing_is_noticed(layout):
    [path] = (Path(layout.uri) / "listing").iterdir()
    content = path.read_bytes()
    source = Source([row["image_uri"] for n in range(SHARDS) for row in read_shard(layout.uri, n).to_pylist()])
    expected = measure_listing(source, IMAGES)
    assert stored_listing(layout.uri, IMAGES) == expected
    for offset in range(8, len(content), 97):
        path.write_bytes(content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :])
        try:
            found = stored_listing(layout.uri, IMAGES)
        except (pa.ArrowException, ValueError, OSError):
            continue
        # A byte that nothing depends on, such as the name of the library that wrote the file.
        rows = [read_shard(layout.uri, shard) for shard in range(SHARDS)]
        assert found != expected or pa.concat_tables(rows).equals(source.rows.cast(schemas.LISTING))
    path.write_bytes(content[: len(content) // 2])
    assert [damage.file for damage in verify(layout.uri)] == ["listing"]
    path.unlink()
    assert [(damage.file, damage.reason) for damage in verify(layout.uri)] == [("listing", "missing")]


def test_an_image_that_grew_is_another_image(tmp_path, photos, layout):
    """Archives are read to be compared, but nothing larger than what they held."""
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for photo in photos:
            file.write(photo, photo.name)
    layout = make(tmp_path / "zipped", [f"zip://{photo.name}::{archive}" for photo in photos])
    assert not find_changed(layout, range(SHARDS), every=True).changed
    with zipfile.ZipFile(archive, "w") as file:
        for number, photo in enumerate(photos):
            file.writestr(photo.name, photo.read_bytes() + bytes(10_000 if number == 4 else 0))
    storage.reading.zip_members.cache_clear()  # another process has none
    [(shard, [said])] = find_changed(layout, range(SHARDS), every=True).changed.items()
    assert shard == 1
    assert photos[4].name in said
    size = photos[4].stat().st_size
    assert f"more than {size} bytes instead of {size}" in said


def test_the_command_to_repair_can_be_pasted(tmp_path, photos):
    folder = tmp_path / "my [1] pairs"
    folder.mkdir()
    layout = make(folder, [str(path) for path in photos])
    photos[0].write_bytes(b"other")
    with pytest.raises(UserError) as refused:
        check_originals(layout)
    command = next(line for line in str(refused.value).splitlines() if "jobs.inspect" in line)
    assert layout.uri in shlex.split(command.partition("jobs.inspect ")[2])
