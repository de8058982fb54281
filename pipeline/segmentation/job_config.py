"""The configuration of a segmentation job."""

from dataclasses import dataclass, field

from pipeline.segmentation.loading import ModelJobConfig


@dataclass(kw_only=True)
class SegmentJobConfig(ModelJobConfig):
    """Everything that `python -m jobs.segment` can be told."""

    images: list[str] | str = field(default_factory=list)
    """Images, folders of images and patterns such as photos/**/*.jpg, one or several; any fsspec URIs."""
    classes: list[str] | str = field(default_factory=list)
    """What to look for. A text has commas between classes and slashes between synonyms ("dog, sofa/couch"); a list
    has one string per class, with commas between synonyms ([dog, "sofa, couch"])."""
    classes_file: str | None = None
    """The same from a text file, one class per line, synonyms separated by commas, any URI; or a JSON list of such
    texts."""
    things: list[str] | None = None
    """The classes, by their first names, that are countable things and no stuff; `panoptic.json` says so. Empty:
    unknown. Then one class is marked, since panopticapi fails where there are only things or only stuff."""
