"""What `proposals.…` in a job's configuration can say."""

from dataclasses import dataclass, field

from pipeline.errors import UserError
from pipeline.weights.precision import Precision


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
class MaskFormerConfig:
    """The `maskformer` backend: MaskFormer (arXiv 2107.06278), also with OVSeg's open-vocabulary head."""

    weights: str | None = None
    """An OVSeg checkpoint (.pth, .pkl, .safetensors; path or URI), or a MaskFormer that `transformers` saved: a
    directory, or `hf-hub:org/repo`."""
    short_side: int = 640
    """Images are resized to this shorter side (px); OVSeg: 640 with Swin-B, 512 with R101c."""
    max_side: int = 2560
    """Longest side (px) after resizing; OVSeg: 2560 with Swin-B, 2048 with R101c."""


@dataclass
class Detectron2Config:
    """The `detectron2` backend: any model of detectron2 that gives masks. It has to be installed. The threshold of its
    masks is detectron2's own, not `proposals.mask_threshold`."""

    config: str | None = None
    """Path of a yacs YAML or of a LazyConfig (.py; it is run), or a name of the model zoo."""
    weights: str | None = None
    """Path or URI of the checkpoint; `detectron2://…` too."""
    options: list[str] = field(default_factory=list)
    """Changes to the configuration, each as KEY=VALUE: MODEL.ROI_HEADS.SCORE_THRESH_TEST=0.3"""


@dataclass
class Mask2FormerConfig:
    """The `mask2former` backend: Mask2Former (arXiv 2112.01527) through `transformers`."""

    weights: str | None = None
    """A directory that `transformers` saved, or `hf-hub:org/repo`. Its preprocessor_config.json says the sizes."""


@dataclass
class Sam2Config:
    """The `sam2` backend: SAM 2 (arXiv 2408.00714) through `transformers`, asked at a grid of points."""

    weights: str | None = None
    """A directory that `transformers` saved, or `hf-hub:org/repo`."""
    points_per_side: int = 32
    """Points of the grid a side."""
    points_per_batch: int = 64
    """Points decoded together; fewer need less memory."""
    iou_threshold: float = 0.8
    """Masks whose IoU the model predicts lower are dropped."""
    stability_threshold: float = 0.95
    """Masks that change more when their threshold moves by `stability_offset` are dropped; IoU of the two."""
    stability_offset: float = 1.0
    """Logits."""
    merge_similarity: float | None = None
    """Masks that touch and whose CLIP features have at least this cosine are united, and their union is proposed in
    their place. Empty: no."""
    merge_clip: str | None = "ViT-B-16"
    """CLIP architecture of these features, a ViT; see `clip.architecture`. Masks smaller than one of its patches are
    never united: the finer, the better."""
    merge_clip_weights: str | None = "openai"
    """Its weights; see `clip.weights`."""

    def check(self) -> None:
        """Raise UserError, naming the key, for values that cannot mean anything."""
        for key, value, least in (
            ("iou_threshold", self.iou_threshold, 0),
            ("stability_threshold", self.stability_threshold, 0),
            ("merge_similarity", 1 if self.merge_similarity is None else self.merge_similarity, -1),
        ):
            if not least <= value <= 1:
                raise UserError(f"proposals.sam2.{key}: {value} is not between {least} and 1")
        if not self.stability_offset >= 0:
            raise UserError(f"proposals.sam2.stability_offset: {self.stability_offset} is not 0 or more")


@dataclass
class ProposalsConfig:
    """Where mask proposals come from, and which are kept."""

    backend: str = "segments"
    """`segments` needs no weights and no annotations; `ground_truth` reads COCO annotations; learned are `maskformer`,
    `detectron2`, `mask2former` and `sam2`. A proposer of your own: `package.module:Class`, a class with the methods of
    `Proposer` that is called with this configuration."""
    min_area: float = 0.001
    """Smaller proposals are dropped; fraction of the image."""
    max_area: float = 0.95
    """Larger proposals are dropped; fraction of the image."""
    max_iou: float = 0.7
    """Of two proposals that overlap more than this (intersection over union), the one with the
    lower score is dropped."""
    max_proposals: int = 100
    """Only the proposals with the highest scores are kept, this many per image."""
    mask_threshold: float = 0.5
    """Learned backends: probability above which a pixel belongs to a mask."""
    batch_size: int = 8
    """Learned backends: images of one size in a forward pass."""
    precision: Precision = "auto"
    """Learned backends: auto is fp16 autocast on a GPU, fp32 on the CPU."""
    ground_truth: GroundTruthConfig = field(default_factory=GroundTruthConfig)
    segments: SegmentsConfig = field(default_factory=SegmentsConfig)
    maskformer: MaskFormerConfig = field(default_factory=MaskFormerConfig)
    detectron2: Detectron2Config = field(default_factory=Detectron2Config)
    mask2former: Mask2FormerConfig = field(default_factory=Mask2FormerConfig)
    sam2: Sam2Config = field(default_factory=Sam2Config)

    def check(self) -> None:
        """Raise UserError, naming the key, for values that cannot mean anything."""
        for key, value in (("min_area", self.min_area), ("max_area", self.max_area)):
            if not 0 <= value <= 1:
                raise UserError(f"proposals.{key}: {value} is not a fraction of the image, 0 to 1")
        if self.min_area > self.max_area:
            raise UserError(f"proposals.min_area: {self.min_area} is above proposals.max_area, {self.max_area}")
        if not 0 < self.max_iou <= 1:
            raise UserError(f"proposals.max_iou: {self.max_iou} is not above 0 and at most 1")
        if not 0 < self.mask_threshold < 1:
            raise UserError(f"proposals.mask_threshold: {self.mask_threshold} is not between 0 and 1")
        for key, value, least in (
            ("max_proposals", self.max_proposals, 1),
            ("batch_size", self.batch_size, 1),
            ("segments.working_side", self.segments.working_side, 16),
            ("maskformer.short_side", self.maskformer.short_side, 32),
            ("maskformer.max_side", self.maskformer.max_side, 32),
            ("sam2.points_per_side", self.sam2.points_per_side, 1),
            ("sam2.points_per_batch", self.sam2.points_per_batch, 1),
        ):
            if value < least:
                raise UserError(f"proposals.{key}: {value} is not {least} or more")
