"""Names inside the directory of a training run."""

from pipeline.dataset.layout import OWN_LEAKAGE
from pipeline.storage.output_directory import OutputDirectory

OWN_FILES = (
    r"result\.json",
    r"checkpoints/(?:checkpoint_manager_snapshot\.json|\.validate_storage_marker|checkpoint_[^/]+/.+)",
    r"model/(?:README\.md|open_clip_config\.json|open_clip_model\.safetensors|mask_prompts\.safetensors)",
    # Of Hugging Face's tokenizers.
    r"model/(?:tokenizer|special_tokens_map|added_tokens|vocab|merges|spiece|sentencepiece|chat_template)[a-z_]*\.[a-z.]+",
    r"interpolation/(?:result|measured/[0-9.e-]+)\.json",
    r"interpolation/model/[^/]+\.(?:md|json|safetensors|txt|model|jinja)",
    r"interpolation/evaluated/[0-9.e-]+(?:-model)?/.+",
    r"tensorboard/events\.out\.tfevents\.[^/]+",
    r"nearest/[a-z_]+-[0-9]+\.parquet",
    r"report/index\.html",
    OWN_LEAKAGE,
    r"(?:metrics|replay|retention|samples|validation)\.parquet",
    r"config\.yaml",
)
"""Patterns of all files of a run, in the order in which `--overwrite` deletes them."""


class RunDirectory(OutputDirectory):
    """Where everything of a training run lies below one output URI."""

    @property
    def samples(self) -> str:
        """The samples that the run learns from, and those that it is validated on."""
        return self.path("samples.parquet")

    @property
    def validation(self) -> str:
        """The samples of `validation.dataset`."""
        return self.path("validation.parquet")

    @property
    def replay(self) -> str:
        """The whole images that are replayed, and their captions."""
        return self.path("replay.parquet")

    @property
    def checkpoints(self) -> str:
        """Ray Train's directory."""
        return self.path("checkpoints")

    @property
    def metrics(self) -> str:
        """Losses and accuracies: a row for each log line and each validation."""
        return self.path("metrics.parquet")

    @property
    def retention(self) -> str:
        """What the CLIP knew of whole images at each validation, if that was measured."""
        return self.path("retention.parquet")

    def nearest(self, phase: str, step: int) -> str:
        """What the validation at a step of a phase found for each region."""
        return self.path("nearest", f"{phase}-{step:07d}.parquet")

    @property
    def model(self) -> str:
        """The adapted CLIP."""
        return self.path("model")

    @property
    def interpolation(self) -> str:
        """What `python -m jobs.train interpolate` writes."""
        return self.path("interpolation")

    @property
    def interpolated(self) -> str:
        """Its result, which is written last."""
        return self.path("interpolation", "result.json")

    @property
    def result(self) -> str:
        """Its presence says that the run is complete."""
        return self.path("result.json")
