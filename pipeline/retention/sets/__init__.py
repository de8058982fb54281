"""Whole images with a class or with captions, read from the official distributions as they are downloaded."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.retention.sets.image_set import CaptionedImages, ClassifiedImages, ImageSet
    from pipeline.retention.sets.opening import open_image_set

__all__ = ["CaptionedImages", "ClassifiedImages", "ImageSet", "open_image_set"]

__getattr__ = lazy_imports(__name__)
