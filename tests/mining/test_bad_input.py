"""Bad input: a clear error before anything starts, or a row in `rejects/`, and everything else unharmed."""

import io
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image

from jobs import mine as mine_job
from pipeline.captions import CaptionsConfig
from pipeline.dataset.layout import Layout
from pipeline.inspection.verify import verify
from pipeline.masks import rle
from pipeline.mining.run import MiningError, mine
from pipeline.proposals import ProposalsConfig
from pipeline.proposals.ground_truth import all_annotated
from tests.mining.configs import command_line, dataset_bytes, mine_config

pytestmark = pytest.mark.usefixtures("ray_cluster")

CAPTION = "A red ball on the grass."
HEIGHT, WIDTH = 120, 160
BOX = (40, 30, 100, 90)
"""x0, y0, x1, y1 of the only object in every image made here."""


class BadWorld:
    """The mined scenes of a micro world, their ids times ten, and between them whatever is added."""

    def __init__(self, world: Path, mined: Path, folder: Path):
        self._folder = folder
        (folder / "images").mkdir()
        (folder / "images" / "folder").mkdir()
        captions = json.loads((world / "captions.json").read_text())
        self._truth = all_annotated(str(world / "panoptic.json"))
        self._images = []
        self._objects = []
        self._captions = []
        for image in captions["images"]:
            self._scene(world, image)
        # One caption an image was mined; here all that is given is used.
        for row in pq.read_table(mined / "captions").to_pylist():
            caption = row["captions"][0]
            self.caption(10 * int(row["image_id"]), caption)

    def _scene(self, world: Path, image: dict) -> None:
        pixels = (world / "images" / image["file_name"]).read_bytes()
        (self._folder / "images" / image["file_name"]).write_bytes(pixels)
        self._images.append(image | {"id": 10 * image["id"]})
        [scene] = self._truth.propose([np.asarray(Image.open(io.BytesIO(pixels)))], [str(image["id"])])
        for mask in scene.masks:
            self._annotate(10 * image["id"], mask, scene.masks.size)

    def _annotate(self, image_id: int, mask: bytes, size: tuple[int, int]) -> None:
        segmentation = {"size": list(size), "counts": mask.decode()}
        self._objects.append(
            {
                "id": 1 + len(self._objects), "image_id": image_id, "category_id": 1, "iscrowd": 0,
                "area": int(rle.decode([mask], *size).sum()), "segmentation": segmentation, "frame": size,
            }
        )  # fmt: skip

    def add(
        self,
        image_id: int,
        file: bytes | None,
        captions: list[str | None] | None = None,
        *,
        name: str | None = None,
        times: int = 1,
        masks: bool = True,
        size: tuple[int, int] = (HEIGHT, WIDTH),
    ) -> None:
        """An image, listed `times` times, with the object BOX in a frame of `size` (height, width)."""
        name = name or f"added-{image_id}.jpg"
        if file is not None:
            (self._folder / "images" / name).write_bytes(file)
        self._images += times * [{"id": image_id, "file_name": name}]
        for caption in [CAPTION] if captions is None else captions:
            self.caption(image_id, caption)
        if masks:
            x0, y0, x1, y1 = BOX
            mask = np.zeros((1, *size), np.uint8)
            mask[0, y0:y1, x0:x1] = 1
            self._annotate(image_id, rle.encode(mask)[0], size)

    def caption(self, image_id: int, caption: str | None) -> None:
        self._captions.append({"id": 10_000 + len(self._captions), "image_id": image_id, "caption": caption})

    def write(self) -> tuple[CaptionsConfig, ProposalsConfig]:
        frames = {item["image_id"]: item.pop("frame") for item in self._objects}
        annotated = {image["id"]: image for image in self._images}
        sizes = [
            image | dict(zip(("height", "width"), frames.get(image_id, (HEIGHT, WIDTH)), strict=True))
            for image_id, image in annotated.items()
        ]
        (self._folder / "captions.json").write_text(
            json.dumps({"images": self._images, "annotations": self._captions}, ensure_ascii=False)
        )
        (self._folder / "instances.json").write_text(
            json.dumps({"images": sizes, "annotations": self._objects, "categories": [{"id": 1, "name": "object"}]})
        )
        captions = CaptionsConfig(
            format="coco", path=str(self._folder / "captions.json"), images=str(self._folder / "images")
        )
        annotations = {"annotations": str(self._folder / "instances.json")}
        return captions, ProposalsConfig(backend="ground_truth", options=annotations)


def encoded(image: Image.Image, file_format: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def picture() -> Image.Image:
    """A smooth image whose corners differ, so that a wrong turn shows."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([x, 2 * y, 255 - x], axis=2).astype(np.uint8))


@pytest.mark.slow
def test_whatever_is_wrong_with_an_image_costs_that_image(mined, world, small_clip, tmp_path):
    photo = picture()
    jpeg = encoded(photo)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90° clockwise
    bad = BadWorld(world, mined, tmp_path)

    usable = {
        5: encoded(photo, "PNG"),
        15: encoded(photo.convert("CMYK")),
        25: encoded(photo.convert("L")),
        35: encoded(photo.transpose(Image.Transpose.ROTATE_90), exif=turned, quality=95),
        45: encoded(photo.convert("RGBA"), "WEBP", lossless=True),
    }
    for image_id, file in usable.items():
        bad.add(image_id, file)
    bad.add(55, jpeg, times=2)
    bad.add(65, jpeg, ["", CAPTION])
    bad.add(75, jpeg, ["Ein roter Ball liegt auf dem Rasen, the ball."])

    bad.add(6, jpeg[: len(jpeg) // 2])
    bad.add(7, b"<html>not found</html>")
    bad.add(8, b"")
    bad.add(16, encoded(Image.new("RGB", (1, 1))), masks=False)
    bad.add(17, encoded(Image.new("RGB", (30_000, 2))), masks=False)
    bad.add(18, encoded(Image.new("1", (12_000, 10_000)), "PNG"), masks=False)
    bad.add(26, None)
    bad.add(27, None, name="folder")
    bad.add(28, None, name="x" * 300 + ".jpg")
    bad.add(36, jpeg, [""])
    bad.add(37, jpeg, ["ball " * 200_000])
    bad.add(38, jpeg, ["🏀🌿🔥"])
    bad.add(46, jpeg, ["草地上有一个红色的球。"])
    bad.add(47, jpeg, [])
    bad.add(48, jpeg, [None])
    bad.add(56, jpeg, masks=False)
    bad.add(57, jpeg, size=(200, 160))
    bad.caption(999, CAPTION)

    captions, proposals = bad.write()
    config = mine_config(world, small_clip, tmp_path / "out", captions=captions, proposals=proposals)
    dataset = mine(replace(config, captions_per_image="all", max_reject_fraction=1.0))

    found = {
        (int(row["image_id"]), row["caption_index"]): (row["stage"], row["reason"])
        for row in pq.read_table(tmp_path / "out" / "rejects").to_pylist()
    }
    rejected = {
        6: ("images", "damaged"),
        7: ("images", "not_an_image"),
        8: ("images", "empty_file"),
        16: ("images", "too_small"),
        17: ("images", "too_small"),
        18: ("images", "too_many_pixels"),
        26: ("images", "missing_file"),
        27: ("images", "missing_file"),
        28: ("images", "missing_file"),
        36: ("nouns", "empty"),
        37: ("nouns", "too_long"),
        38: ("nouns", "no_latin_letters"),
        46: ("nouns", "no_latin_letters"),
        47: ("captions", "no_captions"),
        48: ("captions", "null_caption"),
        55: ("captions", "listed_twice"),
        56: ("proposals", "no_objects"),
        57: ("proposals", "annotation_size"),
        999: ("captions", "unknown_image"),
    }
    assert {image: reason for (image, caption), reason in found.items() if caption is None} == rejected
    assert {place: reason[1] for place, reason in found.items() if place[1] is not None} == {
        (36, 0): "empty",
        (37, 0): "too_long",
        (38, 0): "no_latin_letters",
        (46, 0): "no_latin_letters",
        (65, 0): "empty",
    }
    assert dataset["images"] == dataset["images_with_pairs"] + len(rejected)
    assert sum(dataset["rejected"].values()) == len(rejected)
    assert verify(str(tmp_path / "out")) == []

    # All shards are there, but a dataset with so many rejects is not called complete.
    (tmp_path / "out" / "dataset.json").unlink()
    with pytest.raises(MiningError, match=r"19 of 51 images were rejected, more than max_reject_fraction = 0\.3"):
        mine(replace(config, captions_per_image="all", max_reject_fraction=0.3))
    assert not (tmp_path / "out" / "dataset.json").exists()

    manifest = pq.read_table(tmp_path / "out" / "manifests").to_pylist()
    own = [row for row in manifest if int(row["image_id"]) % 10]
    assert {int(row["image_id"]) for row in own} == {*usable, 55, 65, 75}
    assert {row["caption_index"] for row in own if row["image_id"] == "65"} == {1}
    for row in own:
        assert (row["image_width"], row["image_height"]) == (WIDTH, HEIGHT)
        assert tuple(row[f"box_{edge}"] for edge in ("x0", "y0", "x1", "y1")) == BOX
    check_crops(tmp_path / "out", photo)
    check_scenes([row for row in manifest if int(row["image_id"]) % 10 == 0], mined)


def check_crops(output: Path, photo: Image.Image) -> None:
    """The crops of the images made here show what lies in BOX of the upright picture."""
    expected = np.asarray(photo.crop(BOX)).astype(int)
    tars = sorted(map(str, (output / "shards").glob("*.tar")))
    seen = 0
    for sample in webdataset.WebDataset(tars, shardshuffle=False):
        image_id = int(json.loads(sample["json"])["image_id"])
        if image_id % 10 == 0:
            continue
        crop = np.asarray(Image.open(io.BytesIO(sample["jpg"])).convert("RGB")).astype(int)
        wanted = np.asarray(photo.convert("L").convert("RGB").crop(BOX)).astype(int) if image_id == 25 else expected
        assert np.abs(crop - wanted).mean() < 4, image_id
        seen += 1
    assert seen


def check_scenes(rows: list[dict], mined: Path) -> None:
    """The good images have the pairs that they have without the bad ones. Other images share their CLIP batches,
    which moves the last bits of a score."""
    expected = pq.read_table(mined / "manifests").to_pylist()
    for row, other in zip(rows, expected, strict=True):
        assert int(row.pop("image_id")) == 10 * int(other.pop("image_id"))
        for name in ("key", "shard", "image_uri", "tar_offset", "tar_length"):
            row.pop(name)
            other.pop(name)
        assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--captions.path={folder}/nothing.json"],
            "captions.path: cannot use {folder}/nothing.json: nothing is there",
        ),
        (["--captions.path={folder}/malformed.json"], "malformed.json not valid JSON"),
        (["--captions.path={folder}/list.json"], "list.json holds a JSON list, not an object"),
        (["--captions.images={folder}/nothing"], "captions.images: cannot use {folder}/nothing: nothing is there"),
        (["--captions.format=table", "--captions.path={folder}/*.parquet"], "captions.path: 0 files match"),
        (["--clip.architecture=ViT-Z-99"], "clip.architecture"),
        (["--clip.architecture=local-dir:{folder}/nothing"], "clip.architecture"),
        (["--nouns.pipeline=xx_no_such_model"], "nouns.pipeline"),
        (["--proposals.backend=sam9"], "proposals.backend: 'sam9' is not a backend"),
        (["--proposals.backend=no_such_package.masks:Masks"], "there is no module no_such_package"),
        (["--proposals.backend=pipeline.proposals:Masks"], "the module pipeline.proposals has no class Masks"),
        (["--proposals.options.annotations={folder}/nothing.json"], "proposals.options.annotations"),
        (["--output={folder}/list.json/inside"], "output: cannot use {folder}/list.json/inside"),
        (["--output=https://example.org/out"], "output: https://example.org/out cannot be written to"),
        (["--output=s3://key:hush@bucket/out"], "output contains a secret"),
        (["--resources.clip_gpus=1"], "resources.clip_gpus is 1.0, but the Ray cluster has 0 GPUs"),
        (["--shards.images_per_shard=0"], "shards.images_per_shard is 0"),
    ],
)
def test_what_cannot_work_is_said_before_anything_starts(arguments, message, world, small_clip, tmp_path, capsys):
    (tmp_path / "malformed.json").write_text('{"images": [')
    (tmp_path / "list.json").write_text("[]")
    arguments = [argument.format(folder=tmp_path) for argument in arguments]
    assert mine_job.main([*command_line(world, small_clip, str(tmp_path / "out")), *arguments]) == 2
    error = capsys.readouterr().err
    assert message.format(folder=tmp_path) in error
    assert "hush" not in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "argument", ["--clip.architektur=x", "--shards.images_per_shard=many", "--captions.format=xml"]
)
def test_a_wrong_key_or_type_on_the_command_line_is_refused(argument, world, small_clip, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        mine_job.main([*command_line(world, small_clip, str(tmp_path / "out")), argument])
    assert exit_.value.code == 2
    assert argument.removeprefix("--").partition("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory, to be sized by `resize`."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"file systems cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def resize(disk: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.mark.soak
def test_a_full_disk_leaves_whole_shards_and_more_space_the_same_bytes(mined, world, small_clip, small_disk, capsys):
    config = mine_config(world, small_clip, small_disk)
    resize(small_disk, "8k")  # for config.yaml, not for the listing
    assert mine_job.main(command_line(world, small_clip, str(small_disk))) == 1
    assert "No space left on device" in capsys.readouterr().err

    resize(small_disk, "400k")
    with pytest.raises(MiningError, match="No space left on device"):
        mine(config)
    committed = Layout(str(small_disk)).committed()
    assert 0 < len(committed) < 4
    assert verify(str(small_disk)) == []
    assert not (small_disk / "dataset.json").exists()
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".tmp")]
    half = dataset_bytes(small_disk)
    whole = dataset_bytes(mined)
    assert half == {file: whole[file] for file in half}

    resize(small_disk, "4m")
    mine(replace(config, max_reject_fraction=0.0))
    assert dataset_bytes(small_disk) == whole
    assert verify(str(small_disk)) == []
