"""Backend `ground_truth`: masks that people drew, from COCO annotations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from pipeline.configuration.markers import AbsentMeans, LocalPath
from pipeline.errors import UserError
from pipeline.images import ImageProblem, UprightJpeg, turned
from pipeline.masks import rle
from pipeline.masks.masks import Masks
from pipeline.masks.rle import Rle
from pipeline.proposals.answers import named_proposals
from pipeline.proposals.category_names import CategoryNames
from pipeline.proposals.coco_annotations import CocoFile
from pipeline.proposals.coco_masks import open_masks
from pipeline.proposals.coco_values import identifier
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.filtering import keep
from pipeline.proposals.proposer import NamedProposals, Proposals, check_image


@dataclass
class GroundTruthOptions:
    """The `ground_truth` backend: masks that people drew."""

    annotations: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """COCO instances or panoptic JSON, any URI; which of the two it is shows from its content."""
    panoptic_images: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    """Directory of the panoptic PNGs. Empty: beside the JSON, named like it without `.json`."""
    crowd: bool = False
    """Also take the regions that COCO marks `iscrowd`: groups of objects that nobody took apart."""
    prompted: Annotated[bool, AbsentMeans(False)] = False
    """Take only objects of categories that an image is asked for by their names: nouns in mining, classes in
    segmentation."""
    synonyms: Annotated[str | None, LocalPath.PATH_OR_NAME, AbsentMeans(None)] = None
    """With `prompted`, other names of the categories: a JSON file, any URI, that maps the name of a category to a list
    of names. Upper and lower case are the same."""


class GroundTruth:
    """Proposals are the annotated objects of an image; all have the score 1.

    Table 2 of OVSeg (arXiv 2210.04150) measures such pairs beside those from proposals. An image
    that the file does not know has no proposals, and `absence` says so. Images are known by their ids, or by their
    `file_name` where an id is none of the file's.
    """

    options_class = GroundTruthOptions
    learned = False
    takes_files = True

    def __init__(self, config: ProposalsConfig, options: GroundTruthOptions) -> None:
        """Read and index the annotations.

        Raises:
            UserError: no file is named, or it is not a COCO instances or panoptic file.
        """
        if not options.annotations:
            raise UserError(
                "proposals.options.annotations is empty: the backend ground_truth needs a "
                "COCO instances or panoptic JSON"
            )
        self._config = config
        self._crowd = options.crowd
        self._file = CocoFile(options.annotations)
        self._masks = open_masks(self._file, options.panoptic_images, options.crowd)
        self.batch_size = 1
        self.prompted = options.prompted
        self.identity = {
            "name": "ground_truth",
            "version": "2",
            "annotations_sha256": self._file.sha256,
        }
        self._names = CategoryNames(self._file.categories.values())
        if options.prompted:
            self.identity["prompted"] = "true"
            if options.synonyms:
                self.identity["synonyms_sha256"] = self._names.add_synonyms(options.synonyms)
        elif options.synonyms:
            raise UserError("proposals.options.synonyms is for prompted: true alone; leave it out, or set prompted")

    @property
    def image_ids(self) -> list[str]:
        """Ids of the images that the annotation file lists."""
        return list(self._file.sizes)

    def propose(
        self, images: Sequence[np.ndarray], image_ids: Sequence[str], files: Sequence[UprightJpeg] | None = None
    ) -> list[Proposals]:
        """The annotated objects of each image, at the size of the image given.

        Annotations are those of the upright picture. Where their size fits only the picture as it is stored, they are
        turned with it.

        Args:
            images: uint8 [H, W, 3] RGB; of the size annotated, or scaled with its aspect kept.
            image_ids: COCO's image ids as strings: "257".
            files: what the images were read from, if known: the size before scaling and the EXIF orientation.

        Raises:
            ImageProblem: `annotation_size`, the image has another aspect than the annotation says, or nothing tells
                the size at which it was annotated;
                `damaged_annotation`, none of its annotated objects can be used; `missing_annotation`, its panoptic
                PNG is not there; `listed_twice`, the file says two different things of this image.
        """
        known_files: Sequence[UprightJpeg | None] = files or [None] * len(images)
        return [self._propose(*given) for given in zip(images, image_ids, known_files, strict=True)]

    def propose_named(
        self,
        images: Sequence[np.ndarray],
        image_ids: Sequence[str],
        names: Sequence[Sequence[str]],
        files: Sequence[UprightJpeg] | None = None,
    ) -> list[NamedProposals]:
        """The annotated objects of each image whose category one of its names is; each answers with a score of 1.

        Args:
            names: of each image, as categories or their synonyms are called.

        Other arguments and errors as for `propose`, and:

        Raises:
            ImageProblem: `not_annotated`, the file does not list the image.
        """
        known_files: Sequence[UprightJpeg | None] = files or [None] * len(images)
        return [self._propose_named(*given) for given in zip(images, image_ids, names, known_files, strict=True)]

    def categories(self, image_id: str) -> list[str]:
        """Category name of each proposal that `propose` returns for this image, in its order.

        Raises:
            ImageProblem: as `propose`.
        """
        return [self._file.categories[category] for category, _ in self._objects(self._known(image_id))]

    def knows(self, image_id: str) -> bool:
        """Whether the file lists this image."""
        return self._known(image_id) in self._file.sizes

    def check(self) -> str | None:
        """What to tell the user of the annotations, if anything.

        Raises:
            UserError: none of them can be used.
        """
        return self._file.check(self._crowd)

    def absence(self, image_id: str) -> ImageProblem:
        """Why an image has no proposals: `not_annotated`, the file does not list it; `no_objects`, none can be used."""
        image = self._known(image_id)
        if image not in self._file.sizes:
            return ImageProblem("not_annotated", f"{self._file.uri} does not list it")
        if not (self._file.instances.get(image) or self._file.panoptic.get(image)):
            return ImageProblem("no_objects", f"{self._file.uri} has no mask of it")
        found = len(list(self._masks(image)))
        if not found:
            return ImageProblem("no_objects", "all of its objects are crowds, see proposals.options.crowd")
        limits = "empty, or smaller than proposals.min_area or larger than proposals.max_area"
        return ImageProblem("no_objects", f"annotated objects that are {limits}: {found}")

    def _known(self, image_id: str) -> str:
        image = identifier(image_id) or ""
        if image in self._file.sizes:
            return image
        names = self._file.ids_by_name
        return names.get(image_id) or names.get(image_id.replace("\\", "/")) or image

    def _objects(self, image: str) -> list[tuple[str, Rle]]:
        """Category and mask of what is kept. Chosen in the annotated frame, so that the size of
        the image given does not change the choice.
        """
        objects = self._all_objects(image)
        if not objects:
            return []
        masks = Masks([code for _, code in objects], *self._annotated_size(image))
        kept = keep(masks, np.ones(len(masks)), self._config)
        return [objects[index] for index in kept]

    def _all_objects(self, image: str) -> list[tuple[str, Rle]]:
        """Category and mask of whatever is annotated, in the annotated frame."""
        if image in self._file.contradictory:
            raise ImageProblem("listed_twice", self._file.contradictory[image])
        if image in self._file.unsized:
            raise ImageProblem("annotation_size", f"{self._file.uri} does not know the size of image {image}")
        objects = list(self._masks(image))
        if not objects and image in self._file.damaged and not self._file.instances.get(image):
            raise ImageProblem("damaged_annotation", self._file.damaged[image])
        return objects

    def _annotated_size(self, image: str) -> tuple[int, int]:
        size = self._file.sizes[image]
        assert size is not None  # it has objects that are not in `unsized`
        return size

    def _propose(self, image: np.ndarray, image_id: str, file: UprightJpeg | None) -> Proposals:
        known = self._look_up(image, image_id, file)
        masks = self._in_frame([code for _, code in self._objects(known)], known, image, file)
        return Proposals(masks, np.ones(len(masks), np.float32))

    def _propose_named(
        self, image: np.ndarray, image_id: str, names: Sequence[str], file: UprightJpeg | None
    ) -> NamedProposals:
        known = self._look_up(image, image_id, file)
        if known not in self._file.sizes:
            raise self.absence(image_id)
        objects, prompts = [], []
        for category, code in self._all_objects(known):
            if called := self._names.among(self._file.categories[category], names):
                objects.append(code)
                prompts.append(dict.fromkeys(called, 1.0))
        masks = Masks(objects, *(self._annotated_size(known) if objects else image.shape[:2]))
        found = named_proposals(masks, prompts, names, {}, self._config)
        framed = self._in_frame(list(found.proposals.masks), known, image, file)
        return replace(found, proposals=replace(found.proposals, masks=framed))

    def _look_up(self, image: np.ndarray, image_id: str, file: UprightJpeg | None) -> str:
        """The id that the annotations have for an image, and its size from its file where they state none."""
        check_image(image)
        known = self._known(image_id)
        if file and known in self._file.unsized:
            self._file.adopt_size(known, file.original_height, file.original_width)
        return known

    def _in_frame(self, rles: list[Rle], known: str, image: np.ndarray, file: UprightJpeg | None) -> Masks:
        """Masks of the annotated frame in that of the image given."""
        height, width = image.shape[:2]
        annotated = self._file.sizes.get(known) or (height, width)
        if not _is_scaled(annotated, (height, width)):
            if not (file and file.orientation >= 5 and _is_scaled(annotated[::-1], (height, width))):
                raise ImageProblem("annotation_size", self._size_difference(known, height, width))
            rles = [_turn(code, annotated, file.orientation) for code in rles]
            annotated = annotated[::-1]
        if annotated != (height, width):
            rles = [_resize(code, annotated, (height, width)) for code in rles]
        return Masks(rles, height, width)

    def _size_difference(self, image_id: str, height: int, width: int) -> str:
        size = self._file.sizes[image_id]
        assert size is not None  # it differs from that of the image
        annotated_height, annotated_width = size
        swapped = _is_scaled((annotated_width, annotated_height), (height, width))
        return (
            f"image {image_id} is {width}×{height}, {self._file.uri} annotates it at "
            f"{annotated_width}×{annotated_height}" + (": turned by its EXIF orientation?" if swapped else "")
        )


def all_annotated(annotations: str) -> GroundTruth:
    """Every annotated object of a COCO file, however small, large or overlapping."""
    config = ProposalsConfig("ground_truth", min_area=0.0, max_area=1.0, max_iou=1.0, max_proposals=10**6)
    return GroundTruth(config, GroundTruthOptions(annotations=annotations))


def _is_scaled(size: tuple[int, int], scaled: tuple[int, int]) -> bool:
    """Whether `scaled` is `size` (height, width) scaled, give or take a pixel of rounding."""
    return abs(size[0] * scaled[1] - size[1] * scaled[0]) <= max(size)


def _turn(code: Rle, size: tuple[int, int], orientation: int) -> Rle:
    """A mask of a stored picture of this size, for the picture that is turned upright."""
    return rle.encode(turned(rle.decode([code], *size)[0], orientation)[None])[0]


def _resize(code: Rle, size: tuple[int, int], target: tuple[int, int]) -> Rle:
    """A mask scaled from frame `size` to frame `target` (height, width), nearest pixel centre.

    A mask that falls between the sampled pixels becomes the one pixel at its box's centre: a
    proposal of `propose` must not be missing where `categories` names it.
    """
    mask_HW = rle.decode([code], *size)[0]
    rows, columns = (
        ((np.arange(new) + 0.5) * (old / new)).astype(np.int64) for old, new in zip(size, target, strict=True)
    )
    resized_HW = mask_HW[np.ix_(rows, columns)]
    if not resized_HW.any():
        x0, y0, x1, y1 = rle.boxes([code], *size)[0]
        row = int((y0 + y1) / 2 * target[0] / size[0])
        column = int((x0 + x1) / 2 * target[1] / size[1])
        resized_HW[row, column] = 1
    return rle.encode(resized_HW[None])[0]
