"""What `segmentation.…` in a job's configuration can say."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipeline.bank.config import BankConfig
from pipeline.clip.config import TemplateSet
from pipeline.configuration.limits import Limit

Pooling = Literal["max", "mean"]


@dataclass
class SegmentationConfig:
    """How masks become labels."""

    templates: TemplateSet = "vild"
    """Prompt templates of the class names: none, photo (1), vild (14), imagenet (80)."""
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
    bank: BankConfig = field(default_factory=BankConfig)
