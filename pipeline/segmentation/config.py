"""What `segmentation.…` in a job's configuration can say."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.bank.config import BankConfig
from pipeline.clip.template_choice import Templates, read_templates
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, ReadOnce

Pooling = Literal["max", "mean"]


@dataclass
class SegmentationConfig:
    """How masks become labels."""

    templates: Annotated[Templates, ReadOnce(read_templates)] = "vild"
    """Prompt templates of the class names: none, photo (1), vild (14), imagenet (80); or a list of your own,
    ["a satellite photo of {}"], or a file with one a line."""
    synonyms: Pooling = "max"
    """The logit of a class: the largest or the mean of its names' logits."""
    background: list[str] = field(default_factory=list)
    """Names that compete with the classes, such as "other"; written like classes. Pixels they win are unlabelled."""
    temperature: Annotated[float, Limit(gt=0)] | None = None
    """Factor on cosine similarities before the softmax. Empty: the CLIP's own, 100 for OpenAI's."""
    weight: Annotated[float, Limit(ge=0, le=1)] = 0.7
    """λ of the fusion: 1 takes CLIP's classification alone, 0 that of the proposals alone. OVSeg uses 0.7 for ADE20K
    and 0.6 for Pascal (App. A.3). Backends whose proposals have no classes are classified by CLIP alone."""
    mask_threshold: Annotated[float, Limit(gt=0, lt=1)] = 0.5
    """Probability above which a pixel of a soft mask belongs to the region that CLIP sees. Binary proposals do not
    need it."""
    object_threshold: Annotated[float, Limit(ge=0, lt=1), AbsentMeans(0.0)] = 0.0
    """Panoptic segments: masks whose class probability is not above this are left out. FC-CLIP uses 0, MaskFormer on
    COCO 0.8."""
    overlap_threshold: Annotated[float, Limit(ge=0, le=1), AbsentMeans(0.8)] = 0.8
    """Panoptic segments: masks of which less than this share is left by masks with higher scores are left out.
    MaskFormer and FC-CLIP use 0.8."""
    max_instances: Annotated[Annotated[int, Limit(ge=1)] | None, AbsentMeans(None)] = None
    """Instances, and with them AP: most pairs of a mask and a class that an image may have, those of the highest
    probability. Empty: what the evaluator of the data set counts, 300 for LVIS and 100 elsewhere."""
    bank: BankConfig = field(default_factory=BankConfig)
