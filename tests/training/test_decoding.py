"""The bytes of a sample."""

import io
import tarfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from pipeline.dataset.sample import DamagedSampleError
from pipeline.dataset.shards import ShardsConfig, write_tar
from pipeline.images import ImageProblem, open_image, size_of
from pipeline.training.decoding import decode_sample
from tests.shard_samples import make_sample

KEY = "000002-00031-001"


@pytest.fixture(scope="module")
def tar() -> bytes:
    """A sample as mining writes it into a tar."""
    mask = np.random.default_rng(0).random((33, 47)) < 0.5
    file = io.BytesIO()
    [row] = write_tar([make_sample(mask, KEY)], ShardsConfig(), file)
    return file.getvalue()[: row["tar_length"]]


def members_of(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}


def tar_of(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as opened:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return file.getvalue()


def png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def test_image_and_mask_are_what_pillow_reads(tar):
    image, mask = decode_sample(tar, KEY)
    members = members_of(tar)
    expected = np.asarray(Image.open(io.BytesIO(members[f"{KEY}.jpg"])))
    assert (image.permute(1, 2, 0).numpy() == expected).all()
    assert (mask.numpy() == np.asarray(Image.open(io.BytesIO(members[f"{KEY}.mask.png"])))).all()


def test_real_crops_too(coco_sample):
    """Photographs of COCO as the crops of samples."""
    for path in sorted((coco_sample / "images").glob("*.jpg"))[:10]:
        expected = np.asarray(Image.open(path).convert("RGB"))
        jpeg = io.BytesIO()
        Image.fromarray(expected).save(jpeg, "JPEG", quality=95, subsampling=0)
        mask = png(np.ones(expected.shape[:2], bool))
        image, _ = decode_sample(tar_of({"a.jpg": jpeg.getvalue(), "a.mask.png": mask}), "a")
        assert (image.permute(1, 2, 0).numpy() == np.asarray(Image.open(jpeg))).all()


def test_another_sample_is_noticed(tar):
    with pytest.raises(DamagedSampleError, match=r"^000002-00031-000\.jpg is not there$"):
        decode_sample(tar, "000002-00031-000")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_sample_that_ends_early(tar, share):
    with pytest.raises(DamagedSampleError):
        decode_sample(tar[: int(len(tar) * share)], KEY)


@pytest.mark.parametrize("name", [f"{KEY}.jpg", f"{KEY}.mask.png"])
@pytest.mark.parametrize("spoil", [lambda data: data[:40], lambda data: bytes(len(data)), lambda data: b""])
def test_a_member_that_cannot_be_decoded(tar, name, spoil):
    members = members_of(tar)
    with pytest.raises(DamagedSampleError):
        decode_sample(tar_of({**members, name: spoil(members[name])}), KEY)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((33, 46), bool), r"1518 pixels in a mask of \[33, 46\] for a crop of \[33, 47\]"),
        (np.zeros((33, 47), bool), "0 pixels in a mask"),
    ],
)
def test_a_mask_that_is_none(tar, mask, message):
    with pytest.raises(DamagedSampleError, match=message):
        decode_sample(tar_of({**members_of(tar), f"{KEY}.mask.png": png(mask)}), KEY)


@pytest.mark.parametrize("member", ["jpg", "mask.png", "txt"])
def test_one_bit_in_what_is_learnt_is_noticed(member):
    file = io.BytesIO()
    [row] = write_tar([make_sample(np.ones((33, 47), bool), KEY)], ShardsConfig(), file)
    sample = members_of(file.getvalue())
    decode_sample(tar_of(sample), KEY, row["crc32"])
    content = sample[f"{KEY}.{member}"]
    for offset in range(0, len(content), max(1, len(content) // 40)):
        changed = bytearray(content)
        changed[offset] ^= 1 << offset % 8
        with pytest.raises(DamagedSampleError):
            decode_sample(tar_of(sample | {f"{KEY}.{member}": bytes(changed)}), KEY, row["crc32"])


def carefully(data: bytes) -> tuple[torch.Tensor, np.ndarray] | str:
    """Image and mask as files of strangers are read, or what is said of the damage."""
    members = members_of(data)
    try:
        mask = np.array(open_image(members[f"{KEY}.mask.png"], ("PNG",)), dtype=bool)
        width, height = size_of(members[f"{KEY}.jpg"], ("JPEG",))
        if mask.shape != (height, width) or not mask.any():
            return f"{mask.sum()} pixels in a mask of {list(mask.shape)} for a crop of {[height, width]}"
        image = decode_jpeg(torch.tensor(list(members[f"{KEY}.jpg"]), dtype=torch.uint8), ImageReadMode.RGB)
    except (ImageProblem, RuntimeError) as problem:
        return str(problem).partition("\n")[0]
    return image, mask


@given(st.sampled_from(["jpg", "mask.png"]), st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.booleans())
@settings(deadline=None, max_examples=300)
def test_damage_without_a_checksum_is_told_as_in_files_of_strangers(tar, kind, place, value, cut):
    """In datasets of older versions."""
    members = members_of(tar)
    content = bytearray(members[f"{KEY}.{kind}"])
    offset = int(place * min(len(content), 700))  # headers, and some of what follows
    content[offset] = value
    data = tar_of(members | {f"{KEY}.{kind}": bytes(content[: offset + 1] if cut else content)})
    expected = carefully(data)
    if isinstance(expected, str):
        with pytest.raises(DamagedSampleError) as raised:
            decode_sample(data, KEY)
        assert str(raised.value) == expected
    else:
        image, mask = decode_sample(data, KEY)
        assert torch.equal(image, expected[0])
        assert (mask.numpy() == expected[1]).all()
