"""The names of ImageNet's classes that CLIP is asked by: OpenAI's, as open_clip has them."""

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from timm.data import ImageNetInfo


def imagenet_names() -> dict[str, str]:
    """The name of each of the 1,000 classes by its WordNet id, in the order of the ids."""
    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), IMAGENET_CLASSNAMES, strict=True))
