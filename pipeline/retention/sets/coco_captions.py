"""COCO Captions: an image folder and a JSON file, or others of that format (Karpathy's splits of it)."""

from pipeline.captions.coco import CocoCaptions
from pipeline.captions.config import CaptionsConfig
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig
from pipeline.retention.sets.captioned import captioned_images
from pipeline.retention.sets.distribution import Distribution
from pipeline.retention.sets.image_set import CaptionedImages

_SOURCE = (
    "http://images.cocodataset.org/zips/{split}.zip and "
    "http://images.cocodataset.org/annotations/annotations_trainval{year}.zip (https://cocodataset.org/#download)"
)


def open_coco_captions(config: ImageSetConfig, key: str) -> CaptionedImages:
    """`val2017/` and `annotations/captions_val2017.json`.

    Captions of images that are not listed, and images without captions, are counted as unusable.

    Raises:
        UserError: a part is missing, or the file is not COCO Captions.
    """
    split = config.split or "val2017"
    files = Distribution(config.root, _SOURCE.format(split=split, year=split[-4:]), key)
    annotations = files.first(config.annotations or f"annotations/captions_{split}.json")
    images = files.first(config.images or split)
    try:
        source = CocoCaptions(CaptionsConfig("coco", files.uri(annotations), files.uri(images)))
        rows = [row for batch in source.batches() for row in batch.to_pylist()]
    except UserError as error:
        said = str(error).replace("captions.path", f"{key}.annotations").replace("captions.images", f"{key}.images")
        raise UserError(said) from error
    return captioned_images(f"coco_captions/{split}", rows)
