"""Image files as found in the wild."""

import ast
import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin

import pipeline
from pipeline.images import (
    FORMATS,
    ImageProblem,
    ImagesConfig,
    decode_jpeg,
    open_image,
    read_upright,
    size_of,
)
from pipeline.serving.uploads import read_image


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def half_red(width=64, height=32) -> Image.Image:
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


def test_an_upright_jpeg_keeps_its_bytes():
    data = encoded(half_red(), "JPEG")
    read = read_upright(data, ImagesConfig())
    assert read.data == data
    assert (read.width, read.height, read.original_width, read.original_height) == (64, 32, 64, 32)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_as_opencv_applies_it(orientation, tmp_path):
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize((96, 64), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, "JPEG", exif=exif, quality=95, subsampling=0)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    read = read_upright(data, ImagesConfig())
    pixels = decode_jpeg(read.data)
    assert pixels.shape == expected.shape
    assert (read.original_width, read.original_height) == (expected.shape[1], expected.shape[0])
    assert np.abs(pixels.astype(int) - expected).mean() < 4


@pytest.mark.parametrize(
    ("image", "kind", "expected_left"),
    [
        (half_red(), "PNG", (255, 0, 0)),
        (half_red(), "WEBP", (255, 0, 0)),
        (half_red().convert("CMYK"), "JPEG", (255, 0, 0)),
        (half_red().convert("L"), "PNG", (76, 76, 76)),
        (half_red().convert("L"), "JPEG", (76, 76, 76)),
        (half_red().convert("P"), "GIF", (255, 0, 0)),
        (Image.fromarray(np.full((32, 64), 32896, np.uint16)), "PNG", (128, 128, 128)),
        (Image.fromarray(np.zeros((32, 64, 4), np.uint8)), "PNG", (255, 255, 255)),  # transparent
        (half_red().convert("1"), "PNG", None),
    ],
    ids=["png", "webp", "cmyk", "grey-png", "grey-jpeg", "palette", "16-bit", "transparent", "bitmap"],
)
def test_every_kind_of_file_becomes_rgb(image, kind, expected_left):
    pixels = decode_jpeg(read_upright(encoded(image, kind), ImagesConfig()).data)
    assert pixels.shape == (32, 64, 3)
    if expected_left:
        np.testing.assert_allclose(pixels[:, :28].reshape(-1, 3).mean(axis=0), expected_left, atol=6)


def test_large_images_are_scaled_down_and_say_what_they_were():
    read = read_upright(encoded(half_red(600, 400), "JPEG"), ImagesConfig(max_side=150))
    assert (read.width, read.height, read.original_width, read.original_height) == (150, 100, 600, 400)
    pixels = decode_jpeg(read.data)
    assert pixels.shape == (100, 150, 3)
    np.testing.assert_allclose(pixels[50, 20], (254, 0, 0), atol=6)


def test_turned_and_scaled_together():
    exif = Image.Exif()
    exif[0x0112] = 6
    read = read_upright(encoded(half_red(600, 400), "JPEG", exif=exif), ImagesConfig(max_side=150))
    assert (read.width, read.height, read.original_width, read.original_height) == (100, 150, 400, 600)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty_file"),
        (b"<html>404</html>", "not_an_image"),
        (encoded(half_red(200, 200), "JPEG")[:-600], "damaged"),
        (encoded(half_red(200, 200), "JPEG")[:100], "damaged"),
        (encoded(half_red(200, 200), "PNG")[:-100], "damaged"),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
        (encoded(Image.new("RGB", (30000, 2)), "JPEG"), "too_small"),
        (encoded(Image.new("L", (20000, 6000)), "PNG"), "too_many_pixels"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(ImageProblem) as problem:
        read_upright(data, ImagesConfig())
    assert problem.value.reason == reason


def test_image_files_are_opened_in_one_place():
    root = Path(pipeline.__file__).parent
    callers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "open" and ast.unparse(node.value).endswith("Image")
    }
    assert callers == {"images/reading.py"}


def checkered() -> Image.Image:
    """A picture of coarse fields that differ everywhere."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((96, 64), Image.Resampling.NEAREST)


def exif_block(order: str, kind: int, count: int, value: bytes, magic: int = 42) -> bytes:
    """EXIF with an orientation as its only field."""
    field = struct.pack(f"{order}HHL", 0x0112, kind, count) + value.ljust(4, b"\0")
    mark = b"II" if order == "<" else b"MM"
    return b"Exif\0\0" + mark + struct.pack(f"{order}HLH", magic, 8, 1) + field + bytes(4)


BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, FLOAT = 1, 2, 3, 4, 5, 7, 11


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "count", "value", "turned"),
    [
        (SHORT, 1, "H6", True),
        (BYTE, 1, "B6", True),
        (LONG, 1, "L6", True),
        (SHORT, 2, "H6", True),
        (SHORT, 0, "H6", True),
        (SHORT, 1, "H1", False),
        (SHORT, 1, "H0", False),
        (SHORT, 1, "H9", False),
        (SHORT, 1, "H65535", False),
        (SHORT, 2**31, "H6", False),
        (ASCII, 2, b"6", False),
        (ASCII, 1, b"", False),
        (RATIONAL, 1, "L6", False),
        (UNDEFINED, 1, "B6", False),
        (FLOAT, 1, "f6", False),
        (0, 1, "H6", False),
        (999, 1, "H6", False),
    ],
)
def test_an_orientation_of_any_type(order, kind, count, value, turned):
    if isinstance(value, str):
        number = float(value[1:]) if value[0] == "f" else int(value[1:])
        value = struct.pack(order + value[0], number)
    block = exif_block(order, kind, count, value)
    stored = encoded(checkered(), "JPEG", quality=95)
    data = stored[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + stored[2:]
    read = read_upright(data, ImagesConfig())
    assert (read.width, read.height) == ((64, 96) if turned else (96, 64))
    if not turned:
        assert read.data == data


@pytest.mark.parametrize("cut", range(6, 28))
def test_exif_that_ends_early_turns_nothing(cut):
    block = exif_block("<", SHORT, 1, b"\x06")[:cut]
    read = read_upright(encoded(checkered(), "JPEG", exif=block), ImagesConfig())
    assert (read.width, read.height) == (96, 64)


def test_other_fields_of_exif_may_be_anything():
    fields = b"".join(
        struct.pack("<HHLL", tag, kind, count, value)
        for tag, kind, count, value in [
            (0x0100, ASCII, 4, 0x383231),  # the width as text, at which others fail when they write EXIF anew
            (0x0112, SHORT, 1, 6),
            (0x011A, RATIONAL, 1, 0),
            (0x8769, SHORT, 1, 3),
            (0x8825, LONG, 1, 2**32 - 1),
        ]
    )
    block = b"Exif\0\0II*\0" + struct.pack("<LH", 8, 5) + fields + bytes(4)
    read = read_upright(encoded(checkered(), "JPEG", exif=block), ImagesConfig())
    assert (read.width, read.height) == (64, 96)


LOSSLESS = {"PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "options"),
    [*LOSSLESS.items(), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"big_tiff": True})],
)
def test_every_format_is_turned_once(kind, options, orientation):
    if kind not in FORMATS:
        pytest.skip(f"this Pillow reads no {kind}")
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(checkered(), kind, exif=exif, **options)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")).astype(int)
    read = read_upright(data, ImagesConfig())
    pixels = decode_jpeg(read.data)
    assert (read.original_width, read.original_height) == (expected.shape[1], expected.shape[0])
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).mean() < 4
    # As it is stored, for labels that follow the stored rows.
    assert size_of(data) == (96, 64)
    assert open_image(data).size == (96, 64)


@pytest.mark.parametrize("value", [2**32 - 1, 3, 8, 0])
@pytest.mark.parametrize("tag", [0x8769, 0x8825, 0xA005])
def test_a_tiff_whose_metadata_lies_nowhere_is_read(tag, value):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0x0112], tags[65001] = 6, value
    tags.tagtype[65001] = LONG
    data = encoded(checkered(), "TIFF", tiffinfo=tags)
    data = data.replace(struct.pack("<HHL", 65001, LONG, 1), struct.pack("<HHL", tag, LONG, 1))
    read = read_upright(data, ImagesConfig())
    assert (read.width, read.height) == (64, 96)


def mpo() -> bytes:
    """Two pictures in one file, as some cameras write them; turned by its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(checkered(), "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))], exif=exif, quality=95)


def test_of_two_pictures_in_a_jpeg_the_first_is_read():
    data = mpo()
    assert Image.open(io.BytesIO(data)).format == "MPO"
    read = read_upright(data, ImagesConfig())
    expected = np.asarray(checkered().transpose(Image.Transpose.ROTATE_270)).astype(int)
    assert np.abs(decode_jpeg(read.data) - expected).mean() < 4
    start = data.index(b"MPF\0")
    for place in range(start + 4, start + 90):
        damaged = data[:place] + b"\xff" + data[place + 1 :]
        assert read_upright(damaged, ImagesConfig()).data == read.data


def chunk(name: bytes, content: bytes, checksum: int | None = None) -> bytes:
    checksum = zlib.crc32(name + content) if checksum is None else checksum
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", checksum)


IHDR_END = 8 + 25
BOMB = zlib.compress(bytes(200_000_000), 9)


@pytest.mark.parametrize(
    ("extra", "at_end"),
    [
        (chunk(b"iCCP", b"name\0\0" + BOMB), False),
        (chunk(b"zTXt", b"name\0\0" + BOMB), False),
        (chunk(b"zTXt", b"name\0\0" + BOMB), True),
        (chunk(b"iTXt", b"name\0\1\0\0\0" + BOMB) * 50, True),
        (chunk(b"tEXt", b"name\0" + bytes(70_000_000)), False),
        (chunk(b"iCCP", b""), False),
        (chunk(b"iCCP", b"name\0\7broken"), False),
        (chunk(b"iCCP", b"name\0\0broken"), False),
        (chunk(b"eXIf", b"Exif\0\0\0\x08broken"), False),
        (chunk(b"eXIf", b""), True),
        (chunk(b"gAMA", b""), False),
        (chunk(b"cHRM", b"1"), False),
        (chunk(b"pHYs", b"1"), False),
        (chunk(b"sRGB", b""), False),
        (chunk(b"tRNS", b"1"), False),
        (chunk(b"tRNS", bytes(6), checksum=1), False),
        (chunk(b"tEXt", b"a\0b", checksum=1), False),
        (chunk(b"tEXt", b"a\0b", checksum=1), True),
        (chunk(b"acTL", b"1"), False),
        (chunk(b"acTL", struct.pack(">LL", 2**31, 0)), False),
        (chunk(b"fcTL", b"1"), False),
        (chunk(b"prVt", bytes(100)), False),
        (struct.pack(">L", 2**31 - 1) + b"tEXt" + b"cut", True),
    ],
)
def test_what_lies_beside_the_pixels_of_a_png_costs_nothing(extra, at_end):
    plain = encoded(checkered(), "PNG")
    place = len(plain) - 12 if at_end else IHDR_END
    data = plain[:place] + extra + plain[place:]
    assert read_upright(data, ImagesConfig()).data == read_upright(plain, ImagesConfig()).data
    assert (np.asarray(open_image(data)) == np.asarray(checkered())).all()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("at_end", [False, True])
def test_the_exif_of_a_png_turns_it(order, at_end):
    plain = encoded(checkered(), "PNG")
    place = len(plain) - 12 if at_end else IHDR_END
    block = exif_block(order, SHORT, 1, struct.pack(f"{order}H", 6))[6:]
    turned = read_upright(plain[:place] + chunk(b"eXIf", block) + plain[place:], ImagesConfig())
    assert (turned.width, turned.height) == (64, 96)
    damaged = read_upright(plain[:place] + chunk(b"eXIf", block, checksum=1) + plain[place:], ImagesConfig())
    assert (damaged.width, damaged.height) == (96, 64)


def test_the_first_frame_of_an_animated_png():
    frames = [checkered(), Image.new("RGB", (96, 64))]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert (np.asarray(open_image(data)) == np.asarray(checkered())).all()


@pytest.mark.parametrize("name", [b"IHDR", b"PLTE", b"IDAT"])
def test_damage_where_the_pixels_are_is_damage(name):
    data = bytearray(encoded(checkered().quantize(16), "PNG"))
    place = data.index(name) + (20 if name == b"IDAT" else 5)
    data[place] ^= 0xFF
    with pytest.raises(ImageProblem, match=r"damaged|too_many_pixels"):
        read_upright(bytes(data), ImagesConfig())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_damaged(name, share):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8))
    data = encoded(noise.quantize(200) if name == "GIF" else noise, name)
    with pytest.raises(ImageProblem, match="damaged") as problem:
        read_upright(data[: int(len(data) * share)], ImagesConfig())
    assert "0x" not in str(problem.value)  # no address of this process: rejects are the same in every run


SIXTEEN = np.linspace(0, 65535, 64 * 96, dtype=np.uint16).reshape(64, 96)


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values)[..., None], 3, axis=2).astype(float)


def transparent_palette() -> Image.Image:
    image = checkered().quantize(24)
    image.info["transparency"] = bytes([0] * 12 + [255] * 244)
    return image


def over_white(image: Image.Image) -> np.ndarray:
    rgba = np.asarray(image.convert("RGBA")).astype(float)
    return rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]


def with_alpha() -> Image.Image:
    image = checkered()
    image.putalpha(Image.fromarray(np.tile(np.arange(96, dtype=np.uint8) * 2, (64, 1))))
    return image


RGB = np.asarray(checkered()).astype(float)
LAB = ImageCms.profileToProfile(
    checkered(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
)
MODES = {
    "1-bit": (checkered().convert("1"), "PNG", grey(np.asarray(checkered().convert("1")) * 255.0)),
    "1-bit TIFF": (checkered().convert("1"), "TIFF", grey(np.asarray(checkered().convert("1")) * 255.0)),
    "grey": (checkered().convert("L"), "PNG", grey(checkered().convert("L"))),
    "grey with alpha": (with_alpha().convert("LA"), "PNG", over_white(with_alpha().convert("LA"))),
    "alpha": (with_alpha(), "PNG", over_white(with_alpha())),
    "alpha WebP": (with_alpha(), "WEBP", over_white(with_alpha())),
    "palette": (checkered().quantize(24), "PNG", np.asarray(checkered().quantize(24).convert("RGB")).astype(float)),
    "palette with alpha": (transparent_palette(), "PNG", over_white(transparent_palette())),
    "16 bits": (Image.fromarray(SIXTEEN), "PNG", grey(SIXTEEN / 257)),
    "16 bits TIFF": (Image.fromarray(SIXTEEN), "TIFF", grey(SIXTEEN / 257)),
    "16 bits big-endian": (Image.fromarray(SIXTEEN.astype(">u2")), "TIFF", grey(SIXTEEN / 257)),
    "32 bits": (Image.fromarray(SIXTEEN.astype(np.int32)), "TIFF", grey(SIXTEEN / 257)),
    "float": (Image.fromarray(SIXTEEN.astype(np.float32)), "TIFF", grey(SIXTEEN / 257)),
    "float to 1": (Image.fromarray(SIXTEEN.astype(np.float32) / 65535), "TIFF", grey(SIXTEEN / 257)),
    "CMYK": (checkered().convert("CMYK"), "JPEG", RGB),
    "CMYK TIFF": (checkered().convert("CMYK"), "TIFF", RGB),
    "LAB": (LAB, "TIFF", RGB),
    "YCbCr": (checkered().convert("YCbCr"), "TIFF", RGB),
    "GIF": (checkered().quantize(24), "GIF", np.asarray(checkered().quantize(24).convert("RGB")).astype(float)),
    "animated WebP": (checkered(), "WEBP", RGB),
    "BMP": (checkered(), "BMP", RGB),
    "PPM": (checkered(), "PPM", RGB),
    "AVIF": (checkered(), "AVIF", RGB),
}
OPTIONS = {
    "animated WebP": {"save_all": True, "append_images": [Image.new("RGB", (96, 64))], "lossless": True},
    "AVIF": LOSSLESS["AVIF"],
    "CMYK": {"quality": 95},
    "alpha WebP": {"lossless": True, "exact": True},
}


def mined(data: bytes) -> np.ndarray:
    return decode_jpeg(read_upright(data, ImagesConfig()).data)


def segmented(data: bytes) -> np.ndarray:
    return decode_jpeg(read_upright(data, ImagesConfig(max_side=0, min_side=1)).data)


@pytest.mark.parametrize("name", MODES)
def test_every_mode_is_read_alike_everywhere(name):
    image, kind, expected = MODES[name]
    if kind not in FORMATS:
        pytest.skip(f"this Pillow reads no {kind}")
    data = encoded(image, kind, **OPTIONS.get(name, {}))
    pixels = mined(data)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels - expected).mean() < 4
    assert np.percentile(np.abs(pixels - expected), 95) < 20
    assert (pixels == segmented(data)).all()
    assert (pixels == decode_jpeg(read_image(data, 10_000).data)).all()  # what the server reads


def test_the_inverted_colours_of_adobe_are_read():
    """Photoshop's four-colour JPEGs, with and without a transform, against OpenCV."""
    data = encoded(checkered().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    assert np.abs(mined(data) - expected).mean() < 3


def test_a_float_image_with_holes():
    values = SIXTEEN.astype(np.float32)
    for place, value in enumerate((np.nan, np.inf, -np.inf, -1, 3e38)):
        values[:16, place * 16 : place * 16 + 16] = value
    pixels = mined(encoded(Image.fromarray(values), "TIFF"))
    assert np.abs(pixels[8, 8:80:16, 0] - np.array([0, 255, 0, 0, 255])).max() <= 3
    assert np.abs(pixels[24:] - grey(SIXTEEN / 257)[24:]).max() <= 4


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


def png_bomb(width: int, height: int) -> bytes:
    """A 1-bit mask that has all these pixels, in few bytes."""
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row * 64) for _ in range(height // 64)) + packer.flush()
    header = struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_mask_of_any_size_is_not_decoded():
    bomb = png_bomb(32_768, 32_768)
    assert len(bomb) < 200_000
    with pytest.raises(ImageProblem, match=r"^too_many_pixels: 32768×32768, the limit is 100000000$"):
        open_image(bomb, ("PNG",))
    with pytest.raises(ImageProblem, match="too_many_pixels"):
        read_upright(bomb, ImagesConfig())
    with pytest.raises(ImageProblem, match="too_many_pixels"):
        open_image(encoded(checkered(), "PNG"), max_pixels=96 * 64 - 1)


def test_sides_that_no_jpeg_has():
    long = encoded(Image.new("L", (70_000, 9)), "PNG")
    with pytest.raises(ImageProblem, match=r"^too_large: 70000×9"):
        read_upright(long, ImagesConfig(max_side=0))
    assert read_upright(long, ImagesConfig()).width == 2048


def test_a_jpeg_whose_scans_would_take_hours():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", progressive=True)
    good = buffer.getvalue()
    assert read_upright(good, ImagesConfig()).data == good
    last = good[good.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageProblem, match=r"damaged: it has \d+ scans"):
        read_upright(good[:-2] + 20_000 * last + good[-2:], ImagesConfig())


@pytest.mark.parametrize("magic", [b"P4", b"P5", b"P6", b"P1", b"P2", b"P3"])
def test_comments_of_netpbm_files_take_no_time(magic):
    """Pillow reads them letter by letter: these would take minutes."""
    comment = b"# " + b"x" * 6_000_000 + b"\n"
    white = b"" if magic in (b"P1", b"P4") else b" " + comment + b"255"
    raster = {b"P4": b"\xa5" * 8, b"P1": b"1 0 " * 32, b"P5": bytes(range(64)), b"P6": bytes(range(192))}
    content = raster.get(magic, b"7 " * 192)
    plain = magic + b" 8 8" + white.replace(comment, b"") + b"\n" + content
    commented = magic + b"\n" + comment + comment + b"8\t" + comment + b"8" + white + b"\n" + content
    assert np.array_equal(np.asarray(open_image(commented)), np.asarray(open_image(plain)))
