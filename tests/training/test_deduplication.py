"""One image of each group of near-duplicates."""

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.dataset.hashes import HashedImage, hashes_table
from pipeline.dataset.layout import Layout
from pipeline.errors import UserError
from pipeline.training.samples import DataConfig, Samples, select_samples
from tests.training.datasets import write_dataset

PICTURE = 0x0F0F_3355_00FF_A5C3


@pytest.fixture
def dataset(tmp_path):
    """Twelve images in three shards; near to one another are 1 and 6 and 10, and 4 and 5."""
    folder = write_dataset(tmp_path / "dataset")
    hashes = [PICTURE ^ (number * 0x0101_0101_0101_0101 * 17 % 2**64) for number in range(12)]
    hashes[6], hashes[10] = hashes[1] ^ 0b111, hashes[1] ^ 0b1111000
    hashes[5] = hashes[4]
    for shard in range(3):
        manifest = pq.read_table(folder / "manifests" / f"{shard:06d}.parquet", columns=["image_id", "image_sha256"])
        sha256 = dict(zip(*(column.to_pylist() for column in manifest.columns), strict=True))
        images = [
            HashedImage(f"image-{n}", "", sha256[f"image-{n}"], hashes[n]) for n in range(4 * shard, 4 * shard + 4)
        ]
        storage.write_table(hashes_table(shard, images), Layout(str(folder)).table("hashes", shard))
    return folder


def select(dataset, **options) -> Samples:
    return select_samples(str(dataset), DataConfig(**{"held_out_share": 0.0, **options}))


def images(samples: Samples) -> list[int]:
    """Numbers of the images, by the keys of their samples."""
    keys = (key.split("-") for key in samples.table["key"].to_pylist())
    return sorted({4 * int(shard) + int(image) for shard, image, _ in keys})


def test_the_first_image_of_each_group_stays(dataset):
    samples = select(dataset, deduplicate=4)
    assert images(samples) == [0, 1, 2, 3, 4, 7, 8, 9, 11]
    selection = samples.selection
    assert (selection.duplicates, selection.duplicate_images, selection.training_pairs) == (6, 3, 18)
    assert "6 are of 3 images that others are near-duplicates of" in str(selection)
    assert selection.described()["duplicate_images"] == 3
    assert samples.sha256 != select(dataset).sha256


def test_a_smaller_distance_keeps_more(dataset):
    assert images(select(dataset, deduplicate=0)) == [number for number in range(12) if number != 5]
    assert "duplicates" not in select(dataset).selection.described()


def test_an_image_that_where_leaves_out_stands_for_no_other(dataset):
    samples = select(dataset, deduplicate=4, where="image_id <> 'image-1'")
    assert images(samples) == [0, 2, 3, 4, 6, 7, 8, 9, 11]


def test_without_hashes_what_to_do_is_said(dataset):
    (dataset / "hashes" / "000001.parquet").unlink()
    with pytest.raises(
        UserError, match=r"data\.deduplicate: .*hashes/000001\.parquet is not there.*duplicates .* --hash"
    ):
        select(dataset, deduplicate=4)
