"""Curves for people who watch: TensorBoard, Weights & Biases, MLflow."""

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pipeline import storage
from pipeline.errors import UserError


class Logger(Protocol):
    """Gets every row of metrics.parquet as it is made."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Values at a step, counted over all phases."""

    def flush(self) -> None:
        """Called with every checkpoint and at the end: make what was logged durable."""


class TensorBoard:
    """Event files in OUTPUT/tensorboard; on remote storage they are uploaded with every checkpoint."""

    def __init__(self, output: str, first_step: int):
        from tensorboardX import SummaryWriter

        self._target = storage.join(output, "tensorboard")
        local = storage.is_local(self._target)
        self._folder = Path(self._target if local else tempfile.mkdtemp(prefix="tensorboard-"))
        self._upload = not local
        # What a lost worker logged after its last checkpoint is hidden: it is done again.
        self._writer = SummaryWriter(str(self._folder), purge_step=first_step)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Add every value as a scalar of its own."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def flush(self) -> None:
        """Write the event files, and upload them where the output is remote."""
        self._writer.flush()
        if self._upload:
            for path in self._folder.iterdir():
                storage.upload(path, storage.join(self._target, path.name))


class WeightsAndBiases:
    """A run named after the output directory, continued when training resumes. Project and mode come from the
    environment (WANDB_PROJECT, WANDB_MODE, …)."""

    def __init__(self, output: str, run: str, config: dict):
        import wandb

        self._run = wandb.init(id=run, name=output, resume="allow", config=config)

    def log(self, step: int, values: dict[str, float]) -> None:
        """Hand the values to the client, which sends them meanwhile."""
        self._run.log(values, step=step)

    def flush(self) -> None:
        """Nothing to do: the client keeps on disk what it has not sent yet."""


class MLflow:
    """A run named after the output directory, continued when training resumes. The server comes from the environment
    (MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, …)."""

    def __init__(self, output: str, run: str, config: dict):
        import mlflow

        self._client = mlflow
        found = mlflow.search_runs(filter_string=f"tags.fingerprint = '{run}'", output_format="list")
        mlflow.start_run(found[0].info.run_id if found else None, run_name=output, tags={"fingerprint": run})
        if not found:
            mlflow.log_dict(config, "config.yaml")

    def log(self, step: int, values: dict[str, float]) -> None:
        """Send the values to the server."""
        self._client.log_metrics(values, step=step)

    def flush(self) -> None:
        """Nothing to do: every call of `log` has already reached the server."""


def check_loggers(names: Sequence[str]) -> None:
    """Check that the packages of the chosen loggers are there.

    Raises:
        UserError: one is not installed.
    """
    for name in names:
        if name != "tensorboard" and importlib.util.find_spec(name) is None:
            raise UserError(f"loggers: {name} is not installed; pip install {name}, or leave it out")


def open_loggers(names: Sequence[str], output: str, *, first_step: int, run: str, config: dict) -> list[Logger]:
    """The chosen loggers.

    Args:
        first_step: where training begins or resumes, counted over all phases.
        run: identifies the training run, the same when it resumes.
        config: recorded with the run.
    """
    made: dict[str, Callable[[], Logger]] = {
        "tensorboard": lambda: TensorBoard(output, first_step),
        "wandb": lambda: WeightsAndBiases(output, run, config),
        "mlflow": lambda: MLflow(output, run, config),
    }
    return [made[name]() for name in names]
