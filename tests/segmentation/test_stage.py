"""One worker of a segmentation job, without Ray, and images that nobody expects."""

import io
import json
import struct
import zipfile

import pytest
from PIL import Image

from pipeline.clip import ClipConfig
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.segmentation.worker import SegmentWorker
from tests.segmentation.colours import fields


@pytest.fixture
def segment(tiny_folder, tmp_path):
    """Segments images by their URIs; returns the reasons of the rejected and the sizes of the others, by name."""
    config = SegmentJobConfig(
        output=str(tmp_path / "out"),
        classes=["red", "green"],
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None),
        proposals=ProposalsConfig(backend="tests.segmentation.colours:ColourQueries"),
        segmentation=SegmentationConfig(templates="none"),
    )
    stage = SegmentWorker(config, gpus=0)

    def run(uris: dict[str, str]) -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
        row = stage({"images": list(uris.values()), "names": list(uris)})
        assert (row["error"], row["user_error"]) == ("", "")
        names = {uri: name for name, uri in uris.items()}
        rejected = {names[reject["image"]]: reject["reason"] for reject in json.loads(row["rejects"])}
        written = (tmp_path / "out" / "labels").glob("*.png")
        return rejected, {path.stem: Image.open(path).size for path in written}

    return run


def jpeg(exif: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(fields()).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def orientation(kind: int, value: bytes) -> bytes:
    """EXIF with an orientation of this type, and a width as text, which no library writes."""
    width = struct.pack("<HHL4s", 0x0100, 2, 4, b"36\0")
    turn = struct.pack("<HHL4s", 0x0112, kind, 1, value)
    return b"Exif\0\0II*\0" + struct.pack("<LH", 8, 2) + width + turn + bytes(4)


def test_each_odd_image_costs_itself(segment, tmp_path):
    png = io.BytesIO()
    Image.new("1", (20_000, 6_000)).save(png, "PNG")
    contents = {
        "plain": jpeg(),
        "byte": jpeg(orientation(1, b"\6")),
        "text": jpeg(orientation(2, b"6")),
        "short": jpeg(orientation(3, b"\6\0")),
        "huge": png.getvalue(),
        "heic": b"\0\0\0\x18ftypheic" + bytes(40),
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "cut": jpeg()[:300],
        "empty": b"",
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    uris = {name: str(tmp_path / f"{name}.jpg") for name in (*contents, "absent")}
    rejected, sizes = segment(uris)
    assert rejected == {
        "huge": "too_many_pixels",
        "heic": "not_an_image",
        "eps": "not_an_image",
        "cut": "damaged",
        "empty": "empty_file",
        "absent": "missing_file",
    }
    assert sizes == {"plain": (36, 24), "byte": (24, 36), "text": (36, 24), "short": (24, 36)}


def test_a_damaged_member_of_a_zip_costs_itself(segment, tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for name in ("good.jpg", "bad.jpg"):
            opened.writestr(name, jpeg())
    data = bytearray(archive.read_bytes())
    data[data.rindex(b"bad.jpg", 0, data.index(b"PK\1\2")) + 100] ^= 0xFF
    archive.write_bytes(data)
    rejected, sizes = segment({name: f"zip://{name}.jpg::{archive}" for name in ("good", "bad")})
    assert list(rejected) == ["bad"]
    assert list(sizes) == ["good"]


def test_a_host_that_does_not_answer_costs_its_image(segment, tmp_path):
    (tmp_path / "good.jpg").write_bytes(jpeg())
    rejected, sizes = segment({"good": str(tmp_path / "good.jpg"), "far": "http://127.0.0.1:1/a.jpg"})
    assert rejected == {"far": "unreachable"}
    assert list(sizes) == ["good"]
