"""Every mode of pixels is read alike everywhere."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from pipeline.images import FORMATS, ImagesConfig, decode_jpeg, read_upright, upright_pixels
from pipeline.serving.uploads import read_image
from tests.images.pictures import LOSSLESS, checkered, encoded

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
    segmented = upright_pixels(data).pixels  # and evaluated: without a JPEG between
    assert segmented.dtype == np.uint8
    assert np.abs(segmented.astype(float) - pixels).mean() < 4
    if kind in ("PNG", "BMP", "GIF", "PPM"):
        assert np.abs(segmented - expected).max() <= 1  # alpha and 16 bits are rounded
    assert (pixels == decode_jpeg(read_image(data, 10_000).data)).all()  # what the server reads


def test_the_inverted_colours_of_adobe_are_read():
    """Photoshop's four-colour JPEGs, with and without a transform, against OpenCV."""
    data = encoded(checkered().convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)
    assert np.abs(mined(data) - expected).mean() < 3


def test_a_float_image_with_holes():
    values = SIXTEEN.astype(np.float32)
    for index, value in enumerate((np.nan, np.inf, -np.inf, -1, 3e38)):
        values[:16, index * 16 : index * 16 + 16] = value
    pixels = mined(encoded(Image.fromarray(values), "TIFF"))
    assert np.abs(pixels[8, 8:80:16, 0] - np.array([0, 255, 0, 0, 255])).max() <= 3
    assert np.abs(pixels[24:] - grey(SIXTEEN / 257)[24:]).max() <= 4
