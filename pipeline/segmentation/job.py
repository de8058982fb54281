"""The configuration of a segmentation job."""

from dataclasses import dataclass, field

from pipeline.segmentation.loading import SegmenterConfig


@dataclass(kw_only=True)
class SegmentConfig(SegmenterConfig):
    """Everything that `python -m jobs.segment` can be told."""

    images: str
    """Folder of images, or one image; any fsspec URI."""
    classes: list[str] = field(default_factory=list)
    """What to look for: one string per class, synonyms separated by commas ("door, double door")."""
    classes_file: str | None = None
    """The same from a text file, one class per line, any URI."""
