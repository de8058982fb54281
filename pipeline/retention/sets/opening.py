"""From the configuration to the set of images that it names."""

from collections.abc import Callable

from pipeline.configuration import limits
from pipeline.errors import UserError
from pipeline.retention.config import ImageSetConfig, Task
from pipeline.retention.sets.cifar import open_cifar_10, open_cifar_100
from pipeline.retention.sets.class_folders import open_class_folders
from pipeline.retention.sets.coco_captions import open_coco_captions
from pipeline.retention.sets.flickr30k import open_flickr30k
from pipeline.retention.sets.image_set import CaptionedImages, ClassifiedImages
from pipeline.retention.sets.imagenet import open_imagenet
from pipeline.retention.sets.webdataset import open_webdataset

_KINDS: dict[str, Callable[[ImageSetConfig, str], ClassifiedImages | CaptionedImages]] = {
    "class_folders": open_class_folders,
    "imagenet": open_imagenet,
    "cifar_10": open_cifar_10,
    "cifar_100": open_cifar_100,
    "coco_captions": open_coco_captions,
    "flickr30k": open_flickr30k,
    "webdataset": open_webdataset,
}


def open_image_set(
    config: ImageSetConfig, key: str = "dataset", task: Task | None = None
) -> ClassifiedImages | CaptionedImages:
    """The set of images that the configuration names.

    Args:
        key: of this configuration, for messages.
        task: what the set has to be for; None: for either.

    Raises:
        UserError: the kind is not known, or is for another task, a part of the distribution is missing or malformed, or
            it has no images.
    """
    limits.check(config, key)
    if config.kind not in _KINDS:
        raise UserError(f"{key}.kind: {config.kind} is none of {', '.join(_KINDS)}")
    found = _KINDS[config.kind](config, key)
    if task not in (None, found.task):
        raise UserError(
            f"{key}.kind: {found.name} is for {found.task}, not for {task}: python -m jobs.evaluate {found.task}"
        )
    if not found.image_ids:
        raise UserError(f"{key}.root: {found.name} at {config.root} has no images")
    if isinstance(found, ClassifiedImages):
        return found.with_templates(config.templates)
    if config.templates is not None:
        raise UserError(f"{key}.templates: captions are embedded as they are; leave it out")
    return found
