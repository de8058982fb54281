"""What `segmentation.…` in a job's configuration can say."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.clip.config import TemplateSet
from pipeline.errors import UserError

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
    temperature: float | None = None
    """Factor on cosine similarities before the softmax. Empty: the CLIP's own, 100 for OpenAI's."""
    weight: float = 0.7
    """λ of the fusion: 1 takes CLIP's classification alone, 0 that of the proposals alone. OVSeg uses 0.7 for ADE20K
    and 0.6 for Pascal (App. A.3). Backends whose proposals have no classes are classified by CLIP alone."""
    mask_threshold: float = 0.5
    """Probability above which a pixel of a soft mask belongs to the region that CLIP sees. Binary proposals do not
    need it."""

    def check(self) -> None:
        """Raise UserError, naming the key, for values that cannot mean anything."""
        if not 0 <= self.weight <= 1:
            raise UserError(f"segmentation.weight: {self.weight} is not between 0 and 1")
        if not 0 < self.mask_threshold < 1:
            raise UserError(f"segmentation.mask_threshold: {self.mask_threshold} is not between 0 and 1, exclusive")
        if self.temperature is not None and not self.temperature > 0:
            raise UserError(f"segmentation.temperature: {self.temperature} is not above 0")
