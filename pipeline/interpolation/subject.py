"""A training run whose weights are interpolated: its original CLIP, its adapted one, and how it was measured."""

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from pipeline import storage
from pipeline.clip import Clip, load_clip
from pipeline.configuration.described import read_description
from pipeline.configuration.fingerprint import kind_of
from pipeline.errors import UserError
from pipeline.interpolation.config import InterpolateConfig
from pipeline.interpolation.weights import check_same_architecture, differs
from pipeline.retention.config import ImageSetConfig, RetentionConfig
from pipeline.storage.model_addresses import LOCAL_DIR
from pipeline.training.config import DataConfig, ModelConfig, ValidationConfig
from pipeline.training.run_directory import RunDirectory

_Config = TypeVar("_Config")


@dataclass(frozen=True)
class Subject:
    """What a worker is told of a run."""

    uri: str
    fingerprint: str
    original_sha256: str
    model: ModelConfig
    """The original, where it is now."""
    data: DataConfig
    validation: ValidationConfig
    batch_size: int
    retention: RetentionConfig

    @property
    def samples(self) -> str:
        """URI of the samples that the run was validated on."""
        directory = RunDirectory(self.uri)
        return directory.validation if storage.exists(directory.validation) else directory.samples

    def load(self, precision: str = "fp32", device: str = "cpu") -> tuple[Clip, Clip]:
        """The original CLIP and the adapted one.

        Raises:
            UserError: the original is gone, or is another one now.
        """
        model = self.model
        try:
            original = load_clip(model.architecture, model.weights, precision=precision, device=device)  # type: ignore[arg-type]
        except UserError as error:
            raise UserError(
                f"{self.uri}: the CLIP that this run began with cannot be loaded any more: {error}. Put it back, or "
                "say with --architecture and --weights where it is now"
            ) from error
        if (found := original.weights_sha256()) != self.original_sha256:
            raise UserError(
                f"{self.uri}: {model.architecture or model.weights} is not the CLIP that this run began with any more: "
                f"its weights have the SHA-256 {found}, config.yaml has {self.original_sha256}. Say with "
                "--architecture and --weights where that is now"
            )
        adapted = load_clip(f"{LOCAL_DIR}{RunDirectory(self.uri).model}", precision=precision, device=device)  # type: ignore[arg-type]
        return original, adapted


def open_subject(run: str, config: InterpolateConfig) -> Subject:
    """Read what a run was made with.

    Raises:
        UserError: it is none, is not complete, trained both towers from the start, or nothing says what retention is
            measured on.
        OSError: storage cannot be read.
    """
    storage.check_readable(run, "RUN")
    description = read_description(run)
    if kind_of(description) != "train":
        raise UserError(f"{run} is no training run: it was not made by python -m jobs.train")
    if not storage.exists(RunDirectory(run).result):
        raise UserError(f"{run}: no result.json: the run is not complete; the same training command goes on")
    stored: dict[str, Any] = description["configuration"]
    if stored["mode"] == "pretrain":
        raise UserError(f"{run} was pretrained: there is no original CLIP whose knowledge could be kept")
    retention = config.retention
    if not retention.sets:
        kept = stored.get("retention") or {"sets": []}
        retention = _read(RetentionConfig, kept | {"sets": [_read(ImageSetConfig, one) for one in kept["sets"]]})
    if not retention.sets:
        raise UserError(
            "retention.sets: say what is measured on, such as --retention.sets '[{kind: imagenet, root: imagenet}]'; "
            f"{run} itself measured no retention"
        )
    model = _read(ModelConfig, stored["model"])
    if config.architecture or config.weights:
        model.architecture, model.weights = config.architecture, config.weights
    return Subject(
        run,
        description["fingerprint"],
        description["original"]["sha256"],
        model,
        _read(DataConfig, stored["data"] | {"loaders": 0}),
        _read(ValidationConfig, stored["validation"]),
        stored.get("micro_batch_size") or stored["batch_size"],
        retention,
    )


def check_subject(subject: Subject) -> tuple[Clip, Clip]:
    """Load both CLIPs in this process, so that what is absent is said now.

    Raises:
        UserError: as `Subject.load`; their architectures differ; or all of their weights are the same.
    """
    original, adapted = subject.load()
    check_same_architecture(original, adapted)
    if not differs(original, adapted):
        raise UserError(
            f"{subject.uri} changed no weight of either tower, mask prompts at most, which whole images do not meet: "
            "nothing is lost, and there is nothing to interpolate. Take its model/"
        )
    return original, adapted


def _read(kind: type[_Config], stored: dict[str, Any]) -> _Config:
    """A section of a configuration as a run stored it; keys that it does not know have their default."""
    return kind(**{field.name: stored[field.name] for field in fields(kind) if field.name in stored})  # type: ignore[arg-type]
