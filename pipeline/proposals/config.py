"""What `proposals.…` in a job's configuration can say."""

from dataclasses import dataclass, field

from pipeline.errors import UserError


@dataclass
class GroundTruthConfig:
    """The `ground_truth` backend: masks that people drew."""

    annotations: str | None = None
    """COCO instances or panoptic JSON, any URI; which of the two it is shows from its content."""
    panoptic_images: str | None = None
    """Directory of the panoptic PNGs. Empty: beside the JSON, named like it without `.json`."""
    crowd: bool = False
    """Also give the regions that COCO marks `iscrowd`: groups of objects that nobody took apart."""


@dataclass
class SegmentsConfig:
    """The `segments` backend: regions of even colour and texture, and their merges. No weights."""

    working_side: int = 400
    """Longest side (px) at which regions are searched; larger finds smaller objects, slower."""


@dataclass
class ProposalsConfig:
    """Where mask proposals come from, and which are kept."""

    backend: str = "segments"
    """`segments` needs no weights and no annotations; `ground_truth` reads COCO annotations. A proposer of your own:
    `package.module:Class`, a class with the methods of `Proposer` that is called with this configuration."""
    min_area: float = 0.001
    """Smaller proposals are dropped; fraction of the image."""
    max_area: float = 0.95
    """Larger proposals are dropped; fraction of the image."""
    max_iou: float = 0.7
    """Of two proposals that overlap more than this (intersection over union), the one with the
    lower score is dropped."""
    max_proposals: int = 100
    """Only the proposals with the highest scores are kept, this many per image."""
    ground_truth: GroundTruthConfig = field(default_factory=GroundTruthConfig)
    segments: SegmentsConfig = field(default_factory=SegmentsConfig)

    def check(self) -> None:
        """Raise UserError, naming the key, for values that cannot mean anything."""
        for key, value in (("min_area", self.min_area), ("max_area", self.max_area)):
            if not 0 <= value <= 1:
                raise UserError(f"proposals.{key}: {value} is not a fraction of the image, 0 to 1")
        if self.min_area > self.max_area:
            raise UserError(f"proposals.min_area: {self.min_area} is above proposals.max_area, {self.max_area}")
        if not 0 < self.max_iou <= 1:
            raise UserError(f"proposals.max_iou: {self.max_iou} is not above 0 and at most 1")
        if self.max_proposals < 1:
            raise UserError(f"proposals.max_proposals: {self.max_proposals} is not 1 or more")
        if self.segments.working_side < 16:
            raise UserError(f"proposals.segments.working_side: {self.segments.working_side} is not 16 or more")
