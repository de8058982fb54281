"""Image files as found in the wild."""

import ast
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import pipeline
from pipeline.images import FORMATS, ImageProblem, ImagesConfig, decode_jpeg, read_upright
from tests.images.pictures import encoded


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


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
def test_a_file_that_ends_early_is_damaged(name, share):
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8))
    data = encoded(noise.quantize(200) if name == "GIF" else noise, name)
    with pytest.raises(ImageProblem, match="damaged") as problem:
        read_upright(data[: int(len(data) * share)], ImagesConfig())
    assert "0x" not in str(problem.value)  # no address of this process: rejects are the same in every run
