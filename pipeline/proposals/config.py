"""What `proposals.…` in a job's configuration can say, whatever the backend; its own options stand in its file."""

from dataclasses import dataclass, field
from typing import Annotated

from pipeline.configuration import limits
from pipeline.configuration.limits import Limit
from pipeline.configuration.markers import AbsentMeans, Running
from pipeline.errors import UserError
from pipeline.proposals.options import OptionValue
from pipeline.weights.precision import Precision


@dataclass
class ProposalsConfig:
    """Where mask proposals come from, and which are kept."""

    backend: str = "segments"
    """`segments` needs no weights and no annotations; `ground_truth` reads COCO annotations, `mined` what another mined
    dataset kept; learned are `maskformer`, `detectron2`, `mask2former` and `sam2`, and, asked for the nouns or classes
    of an image by name, `sam3`, `grounding_dino` and `owlv2`. One of your own: `package.module:Class`; see
    pipeline/proposals/README.md."""
    options: dict[str, OptionValue] = field(default_factory=dict)
    """What the backend named by `backend` can be told, such as its weights. `--proposals.backend NAME --help` lists the
    options of a backend; one of them is set by `--proposals.options.NAME VALUE`."""
    min_area: Annotated[float, Limit(ge=0, le=1)] = 0.001
    """Smaller proposals are dropped; fraction of the image."""
    max_area: Annotated[float, Limit(ge=0, le=1)] = 0.95
    """Larger proposals are dropped; fraction of the image."""
    max_iou: Annotated[float, Limit(gt=0, le=1)] = 0.7
    """Of two proposals that overlap more than this (intersection over union), the one with the lower score is
    dropped."""
    max_proposals: Annotated[int, Limit(ge=1)] = 100
    """Only the proposals with the highest scores are kept, this many of an image."""
    mask_threshold: Annotated[float, Limit(gt=0, lt=1)] = 0.5
    """Learned backends: probability above which a pixel belongs to a mask."""
    batch_size: Annotated[int, Limit(ge=1), Running] = 8
    """Learned backends: images of one size in a forward pass."""
    precision: Precision = "auto"
    """Learned backends: auto is fp16 autocast on a GPU, fp32 on the CPU."""
    backends: list[Annotated[str, AbsentMeans([])]] = field(default_factory=list)
    """Several backends together, in place of `backend`, such as `[maskformer, sam3]`; `options` then holds the options
    of each under its name. Where their masks overlap, the best of each backend come first, then the second best."""

    def check(self) -> None:
        """Check what is said for every backend.

        Raises:
            UserError: naming the key of a value that cannot mean anything.
        """
        limits.check(self, "proposals")
        if self.min_area > self.max_area:
            raise UserError(f"proposals.min_area: {self.min_area} is above proposals.max_area, {self.max_area}")
        if self.backends:
            self._check_backends()

    def each(self) -> list[tuple[str, dict[str, OptionValue]]]:
        """The names of the backends, and the options given for each.

        Of several, an option stands under the name of its backend, or as `sam3/weights`, which is what
        `--proposals.options.sam3.weights` becomes: two of the former on a command line would replace each other.
        """
        if not self.backends:
            return [(self.backend, self.options)]
        found: list[tuple[str, dict[str, OptionValue]]] = []
        for name in self.backends:
            options = self.options.get(name)
            single = {key: value for key, value in self.options.items() if key.startswith(f"{name}/")}
            merged = dict(options) if isinstance(options, dict) else {}
            found.append((name, merged | {key.removeprefix(f"{name}/"): value for key, value in single.items()}))
        return found

    def _check_backends(self) -> None:
        if self.backend != ProposalsConfig.backend:
            raise UserError(
                f"proposals.backend: {self.backend} and proposals.backends: {self.backends} exclude each other; leave "
                "one of them out"
            )
        if len(set(self.backends)) != len(self.backends):
            raise UserError(f"proposals.backends: {self.backends} names a backend twice")
        for name, options in self.options.items():
            if name.partition("/")[0] not in self.backends:
                raise UserError(
                    f"proposals.options.{name}: with proposals.backends, options stand under the name of one of them, "
                    f"such as proposals.options.{self.backends[0]}.{name}"
                )
            if name in self.backends and not isinstance(options, dict):
                raise UserError(f"proposals.options.{name}: {options!r} is not the options of a backend, key by key")
