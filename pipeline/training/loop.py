"""What every worker of a training run does: the phases, one step after the other, with checkpoints in between."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import ray.train
import ray.train.torch
import torch
from ray.train import Checkpoint, CheckpointUploadMode
from ray.util.queue import Queue
from torch.nn.parallel import DistributedDataParallel

from pipeline import storage
from pipeline.clip import Clip, load_clip
from pipeline.clip.adapters import merge_adapters
from pipeline.execution import metrics
from pipeline.training.averaging import average_with_original
from pipeline.training.batch_texts import BatchTexts
from pipeline.training.checkpoints import RunState, load_tuned, read_checkpoint, save_checkpoint, tuned_weights
from pipeline.training.config import TrainConfig
from pipeline.training.crops import cut_batches
from pipeline.training.loader import training_loader, validation_loader
from pipeline.training.loggers import Logger, open_loggers
from pipeline.training.losses import RegionLoss
from pipeline.training.noun_embeddings import embed_nouns
from pipeline.training.optimizer import learning_rate, make_optimizer, set_learning_rate, state_bytes
from pipeline.training.order import PhaseSteps
from pipeline.training.phases import Phase, plan_phases, prepare, train_mode, with_prompts
from pipeline.training.pretraining import PretrainStep
from pipeline.training.ranks import Ranks
from pipeline.training.replay import Replay, of_all_ranks
from pipeline.training.replay_loss import ReplayLoss
from pipeline.training.retention import Retention
from pipeline.training.run_directory import RunDirectory
from pipeline.training.samples import Samples
from pipeline.training.step import Step
from pipeline.training.validation import validate
from pipeline.training.whole_images import ReplayBatches
from pipeline.training.window import Measured, Window


@dataclass(frozen=True)
class WorkerTask:
    """What a worker is told; the same for all of them."""

    config: TrainConfig
    samples: str
    """URI of the run's samples.parquet."""
    validation: str | None
    """URI of the samples of another dataset to validate on."""
    replay: str | None
    """URI of the whole images to replay."""
    fingerprint: str
    """Identifies the run to loggers."""
    rows: Queue
    """Gets every row of the metrics as it is made, for the driver to show."""


class Worker:
    """One process of a run. Built from the last checkpoint if there is one."""

    def __init__(self, task: WorkerTask):
        self._rows, self._config = task.rows, task.config
        context = ray.train.get_context()
        self._ranks = Ranks(context.get_world_rank(), context.get_world_size())
        self._device = ray.train.torch.get_device()
        torch.set_num_threads(self._config.workers.threads)
        cv2.setNumThreads(self._config.workers.threads)
        self._samples = Samples.read(task.samples)
        self._phases = plan_phases(self._config, len(self._samples.train))
        self._clip = self._load_original()
        self._validated = Samples.read(task.validation) if task.validation else self._samples
        # Held-out captions of pretraining are no classes.
        self._validates = bool(task.validation) or self._config.mode != "pretrain"
        self._replay = Replay.read_back(task.replay) if task.replay else None
        self._retention = Retention(self._config.retention)
        self._embedded: dict[int, torch.Tensor] = {}
        self._state = RunState()
        self._optimizer_state: dict[str, Any] = {}
        if checkpoint := ray.train.get_checkpoint():
            weights, self._optimizer_state, self._state = read_checkpoint(checkpoint)
            self._clip = load_tuned(self._clip, weights, self._config)
        self._loggers: list[Logger] = []
        if self._ranks.rank == 0:
            self._loggers = open_loggers(
                self._config.loggers,
                self._config.output,
                first_step=self._total_steps(),
                run=task.fingerprint,
                config=asdict(self._config),
            )

    def run(self) -> None:
        """Do what is left of the phases.

        Raises:
            DivergedError: the loss is no number any more.
            UserError, OSError: the dataset is damaged, or storage fails.
        """
        state = self._state
        if state == RunState():
            self._record(self._validate() | self._retention.measure(self._clip))
        while state.stage < len(self._phases):
            self._run_phase(self._phases[state.stage])
        for logger in self._loggers:
            logger.flush()

    def _run_phase(self, phase: Phase) -> None:
        state = self._state
        if phase.name == "mask_prompt":
            self._clip = with_prompts(self._clip, self._config.mask_prompt.depth, self._config.seed)
        parameters = prepare(self._clip, phase, self._config)
        optimizer = make_optimizer(parameters, phase.config, self._config.text.learning_rate)
        scaler = torch.amp.GradScaler(self._device.type, enabled=self._clip.autocast_dtype == torch.float16)
        if state.step:
            optimizer.load_state_dict(self._optimizer_state["optimizer"])
            scaler.load_state_dict(self._optimizer_state["scaler"])
        step_once = self._make_step(phase, scaler)
        window = Window(self._samples)
        batches = cut_batches(window.timed(self._batches(phase)), self._device)
        for step in range(state.step, phase.steps):
            batch = next(batches)
            rate = learning_rate(step, phase.steps, phase.config)
            set_learning_rate(optimizer, rate)
            optimizer.zero_grad()
            result = step_once(batch)
            scaler.step(optimizer)
            scaler.update()
            step_once.clamp_logit_scale()
            window.add(step, result, batch["rows"])
            self._state.unreadable |= dict(batch.get("unreadable", ()))

            state.step = step + 1
            epoch_ends = state.step % phase.steps_per_epoch == 0
            saves = epoch_ends or state.step % self._config.checkpoints.every_steps == 0
            if saves or state.step % self._config.log_every == 0:
                measured = window.close()
                self._count(phase, measured)
                self._record(
                    {
                        "loss": measured.loss,
                        "learning_rate": rate,
                        "logit_scale": self._clip.logit_scale.exp().item(),
                        "regions_per_second": measured.steps * self._regions(phase) / measured.seconds,
                        "waiting_share": measured.waiting_share,
                        "optimizer_bytes": state_bytes(optimizer),
                    }
                )
            if saves:
                window.check_parameters(parameters)
                if epoch_ends:
                    self._end_epoch(phase)
                self._save(phase, {"optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()})
                window.restart()

    def _make_step(self, phase: Phase, scaler: torch.amp.GradScaler) -> Step | PretrainStep:
        whole = phase.name == "pretrain"
        if self._config.gradient_checkpointing:
            tower = self._clip.model if whole or self._text_moves(phase) else self._clip.vision.visual
            cast("Callable[[bool], None]", tower.set_grad_checkpointing)(True)  # open_clip has no types
        trained: torch.nn.Module = self._clip.model if whole else self._clip.vision
        if self._config.compile:
            trained = cast("torch.nn.Module", torch.compile(trained))  # of a module it makes a module
        if self._ranks.world_size > 1:
            trained = DistributedDataParallel(
                trained, device_ids=[self._device] if self._device.type == "cuda" else None, broadcast_buffers=False
            )
        if whole:
            return PretrainStep(self._clip, trained, self._samples.nouns, scaler=scaler, ranks=self._ranks)
        kind, nouns = self._config.loss.kind, len(self._samples.nouns)
        in_step = texts_TD = embeddings_ND = None
        if self._text_moves(phase):
            templates, all_nouns = self._config.model.templates, kind == "classification"
            in_step = BatchTexts(
                self._clip, self._samples.texts, nouns, templates, all_nouns=all_nouns, ranks=self._ranks
            )
        else:
            texts_TD = self._embed(self._samples)
            embeddings_ND = texts_TD[:nouns]  # they come first
        loss = RegionLoss(kind, embeddings_ND, self._clip.logit_scale, self._ranks, texts_TD, in_step)
        # Un-masked regions meet no prompt, so that phase has nothing to learn from them.
        distillation = self._config.loss.distillation if phase.name == "full" else 0.0
        return Step(
            trained,
            loss,
            autocast=self._clip.autocast,
            scaler=scaler,
            micro_batch_size=self._config.micro_batch_size,
            original=self._load_original().vision if distillation else None,
            distillation=distillation,
            replay=ReplayLoss(self._clip, self._ranks, phase.images / self._config.batch_size)
            if phase.images
            else None,
        )

    def _text_moves(self, phase: Phase) -> bool:
        return phase.name == "full" and self._config.text.parameters != "frozen"

    def _batches(self, phase: Phase) -> Iterable[dict]:
        data = self._config.data
        if phase.name != "full":
            data = replace(data, unmasked_share=1.0 if phase.name == "pretrain" else 0.0)
        steps = PhaseSteps(
            seed=self._config.seed + self._state.stage,
            epochs=phase.config.epochs,
            batch_size=self._regions(phase),
            first_step=self._state.step,
        )
        replay = None
        if self._replay is not None and phase.images:
            replay = ReplayBatches(self._replay, phase.images, self._clip.preprocess, self._clip.input.size)
        pin_memory = self._device.type == "cuda"
        return training_loader(
            self._samples, data, steps, self._clip.input, self._ranks, replay=replay, pin_memory=pin_memory
        )

    def _regions(self, phase: Phase) -> int:
        """Of a step, over all workers."""
        return self._config.batch_size - phase.images

    def _end_epoch(self, phase: Phase) -> None:
        if phase.name == "full" and self._state.step == phase.steps:
            merge_adapters(self._clip.model)
            if self._config.full.wise_ft < 1:
                average_with_original(self._clip, self._load_original(), self._config.full.wise_ft)
        if phase.name == "pretrain" or self._text_moves(phase):
            self._embedded = {}
        self._record(self._validate() | self._retention.measure(self._clip))
        train_mode(self._clip)

    def _save(self, phase: Phase, optimizer_state: dict) -> None:
        """Report a checkpoint; the last one of a phase stands at the beginning of the next."""
        state = self._state
        if phase.images:
            state.unreadable = of_all_ranks(state.unreadable, self._ranks)
        name = f"{phase.name}-{state.step:07d}"
        accuracy = {key: value for key, value in state.history[-1].items() if key.startswith("accuracy")}
        if state.step == phase.steps:
            state.stage, state.step, optimizer_state = state.stage + 1, 0, {}
        if self._ranks.rank > 0:
            ray.train.report(accuracy, checkpoint_dir_name=name)
            return
        for logger in self._loggers:
            logger.flush()
        folder = Path(tempfile.mkdtemp(prefix="checkpoint-"))
        weights = tuned_weights(self._clip, self._config)
        save_checkpoint(folder, weights, optimizer_state, state)
        # The folder is uploaded while training goes on, and deleted then.
        ray.train.report(
            accuracy,
            checkpoint=Checkpoint.from_directory(folder),
            checkpoint_dir_name=name,
            checkpoint_upload_mode=CheckpointUploadMode.ASYNC,
        )

    def _embed(self, samples: Samples) -> torch.Tensor:
        """Embeddings of the texts of samples by the text tower as it is, the nouns first; kept until it changes."""
        if id(samples) not in self._embedded:
            self._embedded[id(samples)] = embed_nouns(self._clip, samples.texts, self._config.model.templates)
        return self._embedded[id(samples)]

    def _validate(self) -> dict[str, float]:
        if not self._validates:
            return {}
        embeddings_ND = self._embed(self._validated)[: len(self._validated.nouns)]
        loader = validation_loader(
            self._validated,
            self._config.data,
            self._clip.input,
            self._ranks,
            max_regions=self._config.validation.max_regions,
            batch_size=self._config.micro_batch_size or self._config.batch_size // self._ranks.world_size,
            pin_memory=self._device.type == "cuda",
        )
        found = validate(self._clip, cut_batches(loader, self._device), embeddings_ND)
        if not len(found.rows):
            return {}
        if self._ranks.rank == 0:
            keys = [self._validated.key(row) for row in found.rows]
            uri = RunDirectory(self._config.output).nearest(self._phases[self._state.stage].name, self._state.step)
            storage.write_table(found.table(keys, self._validated.nouns), uri)
        return {"accuracy_top1": found.top1, "accuracy_top5": found.top5}

    def _record(self, values: dict[str, float]) -> None:
        """Keep a row of metrics, and show it to loggers and the driver."""
        if not values:
            return
        state = self._state
        phase = self._phases[state.stage]
        row = {"stage": phase.name, "epoch": state.step / phase.steps_per_epoch, "step": state.step, **values}
        state.history.append(row)
        for logger in self._loggers:
            logger.log(self._total_steps(), values)
        if self._ranks.rank == 0:
            self._rows.put(row)

    def _count(self, phase: Phase, measured: Measured) -> None:
        """What every rank did, and what all of them did together, for the metrics."""
        metrics.gpu_busy(self._config.output, phase.name, measured.seconds * (1 - measured.waiting_share))
        if self._ranks.rank == 0:
            samples = measured.steps * self._regions(phase)
            metrics.steps_done(self._config.output, phase.name, measured.steps, samples, measured.loss)

    def _total_steps(self) -> int:
        """Steps done over all phases."""
        return sum(phase.steps for phase in self._phases[: self._state.stage]) + self._state.step

    def _load_original(self) -> Clip:
        model, gpu = self._config.model, self._device.type == "cuda"
        precision = ("bf16" if gpu else "fp32") if model.precision == "auto" else model.precision
        return load_clip(model.architecture, model.weights, precision=precision, device=self._device)
