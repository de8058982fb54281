"""What `clip.…` in a job's configuration can say."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.clip.template_choice import Templates, read_templates
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, LocalPath, ReadOnce, Running
from pipeline.weights.precision import Precision

CheckpointLayout = Literal["openai", "ovseg"]
"""What others' code reads: see `pipeline.clip.checkpoint_layouts.export_clip`."""


@dataclass
class ClipConfig:
    """Which CLIP scores regions against nouns, and how. If its checkpoint has mask prompts, they are used."""

    architecture: Annotated[str | None, LocalPath.LOCAL_DIR] = "ViT-B-16"
    """open_clip model name, or `hf-hub:org/repo` or `local-dir:` and a path or URI (then `weights` stays empty); null:
    `weights` is a file in OpenAI's layout, in that of OVSeg's CLIPs, or a whole OVSeg checkpoint, which says the sizes
    itself."""
    weights: Annotated[str | None, LocalPath.FILE_OR_NAME] = "openai"
    """open_clip tag, a checkpoint (.pt, .bin, .safetensors; path, URI or `hf-hub:org/repo/file`), or `random` (seeded;
    for trials)."""
    templates: Annotated[Templates, ReadOnce(read_templates)] = "vild"
    """Prompt templates of the text embeddings: none, photo (1), vild (14), imagenet (80); or a list of your own,
    ["a satellite photo of {}"], or a file with one a line."""
    precision: Precision = "auto"
    """Number format of both towers; auto: fp16 autocast on a GPU, fp32 on the CPU."""
    batch_size: Annotated[int, Limit(ge=1), Running] = 256
    """Regions per forward pass, gathered across images."""
    compile: Annotated[bool, AbsentMeans(False)] = False
    """Let torch compile the vision tower: a minute or more when a worker starts, then fewer and faster operations. For
    long jobs, above all on a GPU. Where it cannot be compiled, as without a C++ compiler, the log says why, and the job
    goes on without. Moves the last digits of scores."""
    threads: Annotated[int, Limit(ge=1), Running] = 1
    """CPU threads of one worker. Results are bit-identical only for the same number."""

    @property
    def compiled_batch(self) -> int | None:
        """The size of batch to compile for, as `load_clip` takes it."""
        return self.batch_size if self.compile else None
