"""A training run from configuration to result directory."""

import json
import sys
from dataclasses import asdict, replace

import torch
from ray import cloudpickle
from ray.train import (
    Checkpoint,
    CheckpointConfig,
    ControllerError,
    FailureConfig,
    LoggingConfig,
    RunConfig,
    ScalingConfig,
    WorkerGroupError,
)
from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

from pipeline import storage
from pipeline.configuration import fingerprint
from pipeline.configuration.overwriting import prepare_output
from pipeline.duplicates.known_leaks import known_leaks
from pipeline.errors import IncompleteError, UserError
from pipeline.escaping.terminal import printable
from pipeline.training.batch_texts import check_texts
from pipeline.training.checkpoint_list import drop_checkpoint, mend_list
from pipeline.training.checkpoints import DamagedCheckpointError, RunState, load_tuned, read_checkpoint
from pipeline.training.config import BalanceConfig, TrainConfig
from pipeline.training.controller import StopAtUserErrors, train_worker
from pipeline.training.loop import WorkerTask
from pipeline.training.phases import Phase, plan_phases
from pipeline.training.plan import check_resources, check_size, load_model, resolve
from pipeline.training.progress_bar import shown_progress
from pipeline.training.replay import images_of_a_batch, select_replay, told
from pipeline.training.result import write_result
from pipeline.training.retention import Retention
from pipeline.training.run_directory import OWN_FILES, RunDirectory
from pipeline.training.samples import select_samples
from pipeline.training.trainer import Trainer

_SAMPLES = "samples_sha256"


class TrainingError(IncompleteError):
    """The run ended before its last step."""


def train(config: TrainConfig, *, overwrite: bool = False) -> dict:
    """Adapt a CLIP on the Ray cluster that this process is connected to.

    Running the same again after any failure goes on from the last checkpoint.

    Args:
        overwrite: delete the run that lies in the output directory first.

    Returns:
        the content of `result.json`.

    Raises:
        UserError: the configuration, the dataset or the output directory has to be changed; also if the loss is no
            number any more.
        TrainingError: workers were lost too often.
        OSError: storage failed.
    """
    config = resolve(config)
    storage.check_writable(config.output, "output")
    gpu = check_resources(config)
    directory = RunDirectory(config.output)
    if storage.list_names(directory.path("manifests")):
        raise UserError(f"output: {config.output} holds a mined dataset; choose another directory for the run")
    samples = select_samples(config.dataset, config.data, config.loss.hard_negatives)
    print(f"{config.dataset}: {samples.selection}", file=sys.stderr)
    if samples.hard_negatives:
        print(f"{config.dataset}: {samples.hard_negatives}", file=sys.stderr)
    leaks = known_leaks(config.dataset)
    for leak in leaks:
        print(printable(f"{config.dataset}: {leak}"), file=sys.stderr)
    check_size(config, len(samples.train))
    check_texts(config, len(samples.nouns))
    validation = None
    if config.validation.dataset:
        whole = replace(
            config.data,
            where=None,
            weight=None,
            fold=None,
            deduplicate=None,
            balance=BalanceConfig(),
            held_out_share=1.0,
        )
        validation = select_samples(config.validation.dataset, whole)
    images = images_of_a_batch(config)
    replay = select_replay(config.replay, config.dataset, config.data, images) if images else None
    clip = load_model(config)
    retention = Retention(config.retention)
    retention.check(clip, config.dataset)
    # Only now: a mistake in the configuration must not cost the run that is there.
    prepare_output(directory.uri, "train", OWN_FILES, overwrite=overwrite)
    description = fingerprint.describe(
        "train",
        TrainConfig,
        asdict(config),
        dataset={
            "manifest_sha256": samples.manifest_sha256,
            _SAMPLES: samples.sha256,
            "skipped_shards": samples.skipped_shards,
            "validation_manifest_sha256": validation and validation.manifest_sha256,
            f"validation_{_SAMPLES}": validation and validation.sha256,
            **samples.beside,
            **({"replay_sha256": replay.sha256} if replay else {}),
        },
        original={"sha256": clip.weights_sha256(), "image_size": clip.input.size},
        retention=retention.identity,
    )
    _write_or_check(directory, description)
    if storage.exists(directory.result):
        return json.loads(storage.read_bytes(directory.result))
    samples.write(directory.samples)
    if validation:
        validation.write(directory.validation)
    if replay:
        replay.write(directory.replay)

    phases = plan_phases(config, len(samples.train))
    # A held-out caption of pretraining is no class among others.
    validated = validation or (samples if config.mode != "pretrain" else None)
    with shown_progress(phases) as rows:
        task = WorkerTask(
            config,
            directory.samples,
            directory.validation if validation else None,
            directory.replay if replay else None,
            description["fingerprint"],
            rows,
        )
        has_accuracy = validated is not None and len(validated.held_out) > 0
        weights, state = _fit_from_whole_checkpoints(config, directory, task, phases, gpu, has_accuracy)
    for line in told(state.unreadable, len(replay) if replay else 0):
        print(line, file=sys.stderr)
    return write_result(directory, load_tuned(clip, weights, config), samples, phases, state, replay, leaks)


def _write_or_check(directory: RunDirectory, description: dict) -> None:
    try:
        fingerprint.write_or_check(directory.config, TrainConfig, description)
    except UserError as error:
        if f".{_SAMPLES}: " not in str(error) or ".manifest_sha256: " in str(error):
            raise
        raise UserError(
            f"{error}\nThe manifests are the same, but other samples came out of them (dataset.{_SAMPLES}): data.where "
            "or data.weight gives others every time, or the configuration of `data`, what p_right was estimated from, "
            "or the version of DuckDB has changed"
        ) from None


def _fit_from_whole_checkpoints(
    config: TrainConfig, directory: RunDirectory, task: WorkerTask, phases: list[Phase], gpu: bool, has_accuracy: bool
) -> tuple[dict[str, torch.Tensor], RunState]:
    """Train to the end from the newest checkpoint that is whole.

    Returns:
        the weights and the state at the end.

    Raises:
        DamagedCheckpointError: what is written comes back as something else again and again.
    """
    dropped: set[str] = set()
    mend_list(directory, phases)
    while True:
        try:
            weights, _, state = read_checkpoint(_fit(config, directory, task, gpu, has_accuracy))
            return weights, state
        except DamagedCheckpointError as error:
            if error.name in dropped:
                raise
            print(f"warning: {error}; going on from the one before", file=sys.stderr)
            dropped.add(error.name)
            drop_checkpoint(directory, error.name, phases)


def _fit(config: TrainConfig, directory: RunDirectory, task: WorkerTask, gpu: bool, has_accuracy: bool) -> Checkpoint:
    """Train from the last checkpoint, if there is one, to the end; returns the final checkpoint."""
    # Ray overwrites its list of checkpoints after each: our filesystem does so in one go even on a local disk, where
    # a driver that is killed at that moment would leave half a list, with which no run can go on.
    filesystem, folder = storage.arrow_filesystem(config.output)
    # Ray takes the name of a directory and the one above it.
    name = directory.checkpoints.rpartition("/")[2]
    trainer = Trainer(
        train_worker,
        train_loop_config={"task": cloudpickle.dumps(task)},
        scaling_config=ScalingConfig(num_workers=config.workers.count, use_gpu=gpu),
        run_config=RunConfig(
            name=name,
            storage_path=folder,
            storage_filesystem=filesystem,
            failure_config=FailureConfig(
                max_failures=config.max_failures,
                # Ray Train tries for a minute (RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S) to place all workers.
                controller_failure_limit=config.workers.wait_minutes,
            ),
            checkpoint_config=CheckpointConfig(
                num_to_keep=config.checkpoints.keep,
                checkpoint_score_attribute="accuracy_top1" if has_accuracy else None,
            ),
            callbacks=[StopAtUserErrors()],
            logging_config=LoggingConfig(log_level="ERROR"),
        ),
    )
    try:
        return trainer.fit().checkpoint
    except ControllerError as error:
        if isinstance(error.controller_failure, UserError | OSError):
            raise error.controller_failure from None
        waited = ""
        if isinstance(error.controller_failure, WorkerGroupStartupTimeoutError):
            waited = f"It waited for machines for workers.wait_minutes = {config.workers.wait_minutes} at most. "
        raise TrainingError(
            f"Ray Train stopped: {error}\n{waited}The same command goes on from the last checkpoint"
        ) from error
    except WorkerGroupError as error:
        # Ray wraps what a worker raises, to keep its traceback.
        causes = [getattr(failure, "_base_exc", failure) for failure in error.worker_failures.values()]
        storage_failed = next((f"storage failed: {cause}" for cause in causes if isinstance(cause, OSError)), None)
        raise TrainingError(
            f"a worker failed {config.max_failures + 1} times (max_failures): {storage_failed or error}\nThe same "
            "command goes on from the last checkpoint"
        ) from error
