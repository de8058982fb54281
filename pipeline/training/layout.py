"""Names inside the directory of a training run."""

from dataclasses import dataclass

from pipeline import storage


@dataclass(frozen=True)
class RunLayout:
    """Where everything lies below one output URI."""

    uri: str

    def path(self, *parts: str) -> str:
        return storage.join(self.uri, *parts)

    @property
    def config(self) -> str:
        """What the run was made with."""
        return self.path("config.yaml")

    @property
    def samples(self) -> str:
        """The samples that the run learns from, and those that it is validated on."""
        return self.path("samples.parquet")

    @property
    def validation(self) -> str:
        """The samples of `validation.dataset`."""
        return self.path("validation.parquet")

    @property
    def checkpoints(self) -> str:
        """Ray Train's directory."""
        return self.path("checkpoints")

    @property
    def metrics(self) -> str:
        return self.path("metrics.parquet")

    def nearest(self, stage: str, step: int) -> str:
        """What the validation at a step of a stage found for each region."""
        return self.path("nearest", f"{stage}-{step:07d}.parquet")

    @property
    def model(self) -> str:
        """The adapted CLIP."""
        return self.path("model")

    @property
    def result(self) -> str:
        """Its presence says that the run is complete."""
        return self.path("result.json")

    def clear(self) -> None:
        """Delete the run and nothing else that lies beside it; `config.yaml` last."""
        for folder in (self.checkpoints, self.model, *map(self.path, ("tensorboard", "nearest", "report"))):
            storage.remove_tree(folder)
        for uri in (self.result, self.metrics, self.samples, self.validation, self.config):
            storage.remove(uri)
