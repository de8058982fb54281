"""Finetuning of a small CLIP's towers step by step, without Ray."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pipeline.clip import Clip, load_clip
from pipeline.clip.adapters import merge_adapters
from pipeline.training.batch_texts import BatchTexts
from pipeline.training.config import FullConfig, LoraConfig, LossConfig, TextConfig, TrainConfig
from pipeline.training.losses import RegionLoss
from pipeline.training.noun_embeddings import embed_nouns
from pipeline.training.optimizer import learning_rate, make_optimizer, set_learning_rate
from pipeline.training.phases import Phase, prepare
from pipeline.training.ranks import Ranks
from pipeline.training.replay_loss import ReplayLoss
from pipeline.training.step import Step

NOUNS = ["apple", "boat", "dog", "grass", "zebra"]
TEXTS = [*NOUNS, "blue apple", "small boat"]
"""The nouns, and hard negatives that are none."""
STEPS, BATCH, TEMPLATES = 4, 8, "photo"
LORA = LoraConfig(rank=2, alpha=4.0, matrices=["q", "v", "mlp"])
CHOICES = ["all", "attention_qv", "attention", "last_blocks", "lora"]


def moving(full: str, text: str = "frozen", kind: str = "contrastive", **changes: Any) -> TrainConfig:
    """A configuration that moves these parameters of the two towers."""
    return replace(
        TrainConfig(
            dataset="",
            output="",
            mode="full",
            loss=LossConfig(kind=kind),
            full=FullConfig(parameters=full, lora=LORA, learning_rate=1e-2, warmup_steps=1, weight_decay=0.5),
            text=TextConfig(parameters=text, lora=LORA),
        ),
        **changes,
    )


def batch_of(step: int, side: int, negatives: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    batch = {
        "pixels": torch.randn(BATCH, 3, side, side, generator=generator),
        "masks": torch.rand(BATCH, 1, side, side, generator=generator) > 0.3,
        "nouns": torch.randint(len(NOUNS), (BATCH,), generator=generator),
        "unmasked": torch.zeros(BATCH, dtype=torch.bool),
    }
    return batch | ({"negatives": torch.randint(-1, len(TEXTS), (BATCH, 2), generator=generator)} if negatives else {})


class Finetuning:
    """A CLIP, its optimiser and its step."""

    def __init__(self, architecture: str | Path, config: TrainConfig, clip: Clip | None = None):
        """`clip`: with what an earlier one has changed."""
        self.config, self.clip = config, clip or load_clip(str(architecture))
        self.phase = Phase("full", config.full, STEPS)
        self.parameters = prepare(self.clip, self.phase, config)
        self.optimizer = make_optimizer(self.parameters, config.full, config.text.learning_rate)
        self.step = make_step(self.clip, config)

    def run(self, steps: range, negatives: bool = True) -> "Finetuning":
        for number in steps:
            set_learning_rate(self.optimizer, learning_rate(number, STEPS, self.config.full))
            self.optimizer.zero_grad()
            self.step(batch_of(number, self.clip.input.size, negatives))
            self.optimizer.step()
            self.step.clamp_logit_scale()
        return self

    def merged(self) -> dict[str, torch.Tensor]:
        merge_adapters(self.clip.model)
        return self.clip.model.state_dict()


def make_step(
    clip: Clip, config: TrainConfig, vision: torch.nn.Module | None = None, ranks: Ranks | None = None
) -> Step:
    """The step of a run: texts in it if the text tower moves, else embedded before."""
    ranks, kind = ranks or Ranks(), config.loss.kind
    in_step = texts_TD = nouns_ND = None
    if config.text.parameters == "frozen":
        texts_TD = embed_nouns(clip, TEXTS, TEMPLATES)
        nouns_ND = texts_TD[: len(NOUNS)]
    else:
        in_step = BatchTexts(clip, TEXTS, len(NOUNS), TEMPLATES, all_nouns=kind == "classification", ranks=ranks)
    return Step(
        vision or clip.vision,
        RegionLoss(kind, nouns_ND, clip.logit_scale, ranks, texts_TD, in_step),
        autocast=clip.autocast,
        scaler=torch.amp.GradScaler("cpu", enabled=False),
        micro_batch_size=config.micro_batch_size,
        original=None,
        distillation=0.0,
        replay=ReplayLoss(clip, ranks, config.replay.share) if config.replay.share else None,
    )
