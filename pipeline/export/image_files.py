"""The images of a mined dataset as files of their own, upright and of the size that masks and boxes refer to."""

import dataclasses
import shlex

from pipeline import storage
from pipeline.dataset.checked_tables import read_checked_table
from pipeline.dataset.opening import MinedDataset
from pipeline.errors import UserError
from pipeline.images import ImageProblem, ImagesConfig, read_upright
from pipeline.mining.steps.read_images import read_ahead
from pipeline.mining.work import Image
from pipeline.storage.documents import damaged


def image_file(key: str) -> str:
    """The name of the file of a sample's image: `000012-00034.jpg`. Names in the source may be anything."""
    return "-".join(key.split("-")[:2]) + ".jpg"


def write_images(pairs: MinedDataset, to: str) -> None:
    """Write every image that has pairs as mining saw it: JPEG, turned upright, scaled down to `images.max_side`.

    Files that are such JPEG already keep their bytes. Takes the memory of a few dozen images.

    Args:
        to: folder, any fsspec URI.

    Raises:
        UserError: an image is gone, cannot be read, or has another size than it had.
        OSError: storage cannot be read or written.
    """
    config = _images_config(pairs)
    for manifest in pairs.manifests(["key", "image_width", "image_height"]):
        rows = {int(row["key"].split("-")[1]): row for row in manifest.table.to_pylist()}
        uri = pairs.layout.table("captions", manifest.shard)
        listed = read_checked_table(uri).to_pylist()
        if max(rows, default=0) >= len(listed):
            raise damaged(uri, f"it has {len(listed)} images, and the manifest names image {max(rows)}")
        for image, file in read_ahead([Image(index, listed[index]) for index in sorted(rows)], config):
            row = rows[image.index]
            try:
                jpeg = read_upright(file.result(), config)
            except ImageProblem as problem:
                raise UserError(f"--images: {image.row['image_uri']} cannot be read any more: {problem}") from problem
            if (jpeg.width, jpeg.height) != (row["image_width"], row["image_height"]):
                raise UserError(
                    f"--images: {image.row['image_uri']} is {jpeg.width}×{jpeg.height} now and was "
                    f"{row['image_width']}×{row['image_height']}, so masks do not fit it; see python -m jobs.inspect "
                    f"{shlex.quote(pairs.layout.uri)} --verify --images"
                )
            storage.write_bytes(storage.join(to, image_file(row["key"])), bytes(jpeg.data))


def _images_config(pairs: MinedDataset) -> ImagesConfig:
    mined_with = pairs.description["configuration"].get("images")
    known = {field.name for field in dataclasses.fields(ImagesConfig)} - {
        "web"
    }  # no number, and no part of what is read
    values = mined_with if isinstance(mined_with, dict) else {}
    if strange := [name for name, value in values.items() if name in known and type(value) not in (int, float)]:
        raise damaged(pairs.layout.config, f"images.{strange[0]} is no number")
    return ImagesConfig(**{name: value for name, value in values.items() if name in known})
