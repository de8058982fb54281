"""What `clip.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Literal

from pipeline.weights.precision import Precision

TemplateSet = Literal["none", "photo", "vild", "imagenet"]
"""Which prompt templates: see `pipeline.clip.templates`."""


@dataclass
class ClipConfig:
    """Which CLIP scores regions against nouns, and how. If its checkpoint has mask prompts, they are used."""

    architecture: str | None = "ViT-B-16"
    """open_clip model name, or `hf-hub:org/repo` or `local-dir:` and a path or URI (then `weights` stays empty); null:
    `weights` is a file in OpenAI's layout, in that of OVSeg's CLIPs, or a whole OVSeg checkpoint, which says the sizes
    itself."""
    weights: str | None = "openai"
    """open_clip tag, a checkpoint (.pt, .bin, .safetensors; path, URI or `hf-hub:org/repo/file`), or `random` (seeded;
    for trials)."""
    templates: TemplateSet = "vild"
    """Prompt templates of the text embeddings: none, photo (1), vild (14), imagenet (80)."""
    precision: Precision = "auto"
    """auto: fp16 autocast on a GPU, fp32 on the CPU."""
    batch_size: int = 256
    """Regions per forward pass, gathered across images."""
    threads: int = 1
    """CPU threads of one worker. Results are bit-identical only for the same number."""
