"""The perceptual hash: its formula, and what it tells apart on photographs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from pipeline.images import ImagesConfig, open_image, read_upright
from pipeline.images.perceptual_hash import PLAIN, perceptual_hash
from tests.images.pictures import encoded


def distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def noise(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Coarse noise, so that low frequencies have something to tell."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_of_32_rows_it_is_the_sign_of_the_lowest_frequencies_against_their_median(mode):
    image = noise(50, 32, mode=mode)
    grey = np.asarray(image, float) @ [0.299, 0.587, 0.114] if mode == "RGB" else np.asarray(image, float)
    # scipy's transform is 4 times the sum of the products with cosines.
    lowest = np.rint(dctn(grey)[:8, :8] / (4 * 32 * 50) * 256)
    bits = (lowest > np.median(lowest)).ravel()
    assert perceptual_hash(image) == int("".join("01"[int(bit)] for bit in bits), 2)


def test_of_a_taller_picture_the_middle_row_of_each_32nd_part_counts():
    image = noise(40, 96)
    assert perceptual_hash(image) == perceptual_hash(Image.fromarray(np.asarray(image)[1::3].repeat(3, axis=0)))


@given(width=st.integers(1, 60), height=st.integers(1, 60), grey=st.integers(0, 255))
def test_plain_pictures_have_the_hash_of_plain_pictures(width, height, grey):
    assert perceptual_hash(Image.new("RGB", (width, height), (grey, 255 - grey, grey))) == PLAIN


def test_a_picture_in_several_pieces_of_memory_has_the_same_hash():
    large = noise(3000, 2000)  # 24 MB: more than one of Pillow's blocks
    pixels = np.asarray(large)
    rows = pixels[(2 * np.arange(32) + 1) * 2000 // 64]
    assert perceptual_hash(large) == perceptual_hash(Image.fromarray(rows))


def test_an_upright_picture_is_hashed_whatever_its_file_is():
    image = noise(96, 64)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = image.transpose(Image.Transpose.ROTATE_90)  # what a camera stores that says 6
    files = [
        encoded(image, "PNG"), encoded(image, "JPEG", quality=95), encoded(turned, "PNG", exif=exif),
        encoded(image.resize((48, 32)), "WEBP"),
    ]  # fmt: skip
    found = [read_upright(data, ImagesConfig(min_side=1), hashed=True).perceptual_hash for data in files]
    assert all(distance(found[0], other) <= 4 for other in found)
    assert read_upright(files[0], ImagesConfig(min_side=1)).perceptual_hash is None


def test_photographs_half_as_large_and_compressed_anew_are_near_and_all_others_far(coco_sample):
    images = [open_image(path.read_bytes()) for path in sorted((coco_sample / "images").iterdir())]
    hashes = [perceptual_hash(image) for image in images]
    moved = []
    for image, original in zip(images, hashes, strict=True):
        half = image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)
        copies = [open_image(encoded(copy, "JPEG", quality=50)) for copy in (half, image)]
        moved += [distance(perceptual_hash(copy), original) for copy in copies]
    assert np.mean(np.array(moved) <= 6) > 0.98  # a picture of fine texture has little that low frequencies could tell
    apart = min(distance(a, b) for index, a in enumerate(hashes) for b in hashes[:index])
    assert max(moved) < apart
    assert apart >= 12
