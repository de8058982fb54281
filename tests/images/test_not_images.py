"""What is no image of ours is named."""

import struct

import pytest
from PIL import Image

from pipeline.images import FORMATS, ImageProblem, ImagesConfig, open_image, read_upright
from tests.images.pictures import checkered, encoded


def box(brand: bytes, *compatible: bytes) -> bytes:
    content = brand + bytes(4) + b"".join(compatible)
    return struct.pack(">L", len(content) + 8) + b"ftyp" + content + bytes(200)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (box(b"heic", b"mif1", b"heic"), "HEIC/HEIF, .* convert it to JPEG or PNG"),
        (box(b"mif1", b"mif1", b"heic"), "HEIC/HEIF"),
        (box(b"hevc"), "HEIC/HEIF"),
        (box(b"isom", b"mp42"), "a video"),
        (box(b"qt  "), "a video"),
        (box(b"crx "), "raw file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "EPS"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "EPS"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\0\1" + bytes(40), "PSD"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"<!DOCTYPE html><html><head>", "HTML"),
        (b"\n\n  <html lang=en>", "HTML"),
        (b"\xef\xbb\xbf<!doctype HTML>", "HTML"),
        (b"<!-- served by x --><html>", "HTML"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<!-- a drawing -->\n<svg width='9'>", "SVG"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": "not found"}', "JSON"),
        (b"II*\0\x10\0\0\0CR\2\0" + bytes(40), "raw file"),
        (b"FUJIFILMCCD-RAW 0201", "raw file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
        (b"RIFF\x10\0\0\0AVI LIST", "video"),
        (b"PK\3\4" + bytes(40), "zip"),
        (b"\x1f\x8b" + bytes(40), "gzip"),
        (b"\0\0\1\0\1\0" + bytes(40), "icon"),
        (bytes(40), "first bytes 00 00"),
        (b"hello", "first bytes 68 65 6c 6c 6f"),
    ],
)
def test_what_is_no_image_is_named(data, named):
    with pytest.raises(ImageProblem, match=f"^not_an_image: .*{named}"):
        read_upright(data, ImagesConfig())


def test_a_camera_raw_file_is_not_taken_for_its_preview():
    tags = Image.Exif()
    for tag, value in ((0x00FE, 1), (0x014A, 8)):
        tags[tag] = value
    with pytest.raises(ImageProblem, match="raw file"):
        read_upright(encoded(checkered(), "TIFF", tiffinfo=tags), ImagesConfig())


@pytest.mark.parametrize(
    "kind", ["EPS", "PCX", "TGA", "ICO", "PSD", "SGI", "IM", "JPEG2000", "DDS", "PDF", "XBM", "MSP"]
)
def test_other_formats_of_pillow_are_not_tried(kind, monkeypatch):
    """Among them those that start other programs."""
    if kind == "PSD":
        data = b"8BPS\0\1" + bytes(6) + struct.pack(">HLLHH", 3, 8, 8, 8, 3) + bytes(12)
    else:
        mode = "1" if kind in ("XBM", "MSP") else "RGB"
        data = encoded(checkered().convert(mode), kind)
    for plugin in Image.OPEN:
        if plugin not in FORMATS:
            monkeypatch.setitem(Image.OPEN, plugin, (pytest.fail, None))
    with pytest.raises(ImageProblem, match="not_an_image"):
        read_upright(data, ImagesConfig())


def test_own_files_may_be_of_one_kind_only():
    with pytest.raises(ImageProblem, match=r"^not_an_image: GIF; expected is PNG$"):
        open_image(encoded(checkered().quantize(), "GIF"), ("PNG",))
    assert open_image(encoded(checkered(), "PNG"), ("PNG",)).size == (96, 64)
