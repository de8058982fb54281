"""What is measured on whole images: by a job of its own, and by training."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from pipeline.clip.config import ClipConfig
from pipeline.clip.template_choice import Templates, read_templates
from pipeline.configuration import limits
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, ReadOnce, Running
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError

Task = Literal["classification", "retrieval"]

Kind = Literal["class_folders", "imagenet", "cifar_10", "cifar_100", "coco_captions", "flickr30k", "webdataset"]


def _own_templates(templates: Any, key: str) -> Any:
    return None if templates is None else read_templates(templates, key)


@dataclass
class ImageSetConfig:
    """Whole images with a class or with captions, in their official distribution, unpacked."""

    kind: Kind
    """Classification: `class_folders` (a folder of images per class), `imagenet`, `cifar_10`, `cifar_100`. Retrieval:
    `coco_captions`, `flickr30k`. Either: `webdataset`, the layout of CLIP_benchmark, whose `dataset_type.txt` says."""
    root: Annotated[str, Running, LocalPath.ANY]
    """Directory of the unpacked distribution, any fsspec URI."""
    split: str | None = None
    """The part, as the distribution calls it. Empty: `val` (imagenet), `val2017` (coco_captions), `test` (the others);
    `class_folders` has none."""
    classes: str | None = None
    """`class_folders`: text file, below root or an address of its own, with one class a line: FOLDER: NAME, or the name
    alone if the folder is called so. Empty: the names of the folders, _ read as a space."""
    annotations: str | None = None
    """Retrieval: the file with the captions, below root or an address of its own. Empty: where the distribution has
    it."""
    images: str | None = None
    """Retrieval: folder of the images, below root or an address of its own. Empty: where the distribution has it."""
    templates: Annotated[Templates | None, ReadOnce(_own_templates)] = None
    """Prompt templates of the class names: none, photo (1), vild (14), imagenet (80), a list of your own, or a file
    with one a line. Empty: those that the set's published figures are made with (imagenet: 80, CIFAR: 18, webdataset:
    its own), `imagenet` for class_folders."""


@dataclass
class RetentionConfig:
    """What the CLIP knew before, measured on whole images before training and after every epoch."""

    sets: list[Annotated[ImageSetConfig, AbsentMeans([])]] = field(default_factory=list)
    """The sets of images, each as `dataset` of `python -m jobs.evaluate classification` (or retrieval):
    [{kind: imagenet, root: imagenet}, {kind: coco_captions, root: coco}]. None: nothing is measured."""
    max_images: Annotated[int, Limit(ge=1), AbsentMeans(5000)] = 5000
    """At most so many images of each set, evenly spread."""
    batch_size: Annotated[int, Limit(ge=1), Running] = 64
    """Whole images per forward pass of one worker."""
    readers: Annotated[int, Limit(ge=1), Running] = 4
    """Threads of one worker that read, decode and scale images."""


@dataclass(kw_only=True)
class ImagesJobConfig:
    """Everything that `python -m jobs.evaluate classification` and `python -m jobs.evaluate retrieval` can be told."""

    dataset: ImageSetConfig
    output: Annotated[str, Running, LocalPath.OUTPUT]
    """Output directory, any fsspec URI."""
    clip: ClipConfig = field(default_factory=lambda: ClipConfig(precision="fp32", batch_size=64))
    limit: Annotated[int, Limit(ge=1)] | None = None
    """Only this many images, evenly spread."""
    images_per_chunk: Annotated[int, Limit(ge=1)] = 256
    """Images measured together: the unit of work and of resumption."""
    max_reject_fraction: Annotated[float, Limit(ge=0, le=1), Running] = 0.01
    """The job fails if more than this share of the images cannot be used."""
    readers: Annotated[int, Limit(ge=1), Running] = 4
    """Threads of one worker that read, decode and scale images."""
    gpus: Annotated[Annotated[float, Limit(ge=0)] | None, Running] = None
    """GPUs of one worker, fractions allowed. Empty: 1 if the cluster has GPUs, else 0."""
    workers: Annotated[Annotated[int, Limit(ge=1)] | None, Running] = None
    """Most workers at a time. Empty: as many as the cluster has GPUs (or CPUs, without GPUs)."""
    wait_minutes: Annotated[float, Limit(ge=0), Running] = 60.0
    """Minutes that the cluster may have no room for a worker before the job ends; the same command carries on."""

    def resolved(self) -> Self:
        """The configuration that workers get: every rule kept, its local paths absolute.

        Raises:
            UserError: naming the key of a value that cannot mean anything.
        """
        limits.check(self)
        if self.clip.templates != "vild":
            raise UserError("clip.templates: class names are embedded with dataset.templates; set that instead")
        if self.clip.compile:
            raise UserError("clip.compile is for regions; whole images pass through the tower as it is: leave it out")
        return with_absolute_paths(self)
