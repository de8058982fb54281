"""The configurations beside jobs/train.py: the keys exist, and the numbers are the paper's."""

import pytest

from jobs.command import Command
from pipeline.training.config import TrainConfig
from pipeline.training.phases import plan_phases

PAIRS = 442_117  # mined by the paper from one caption an image


def parse(*arguments: str) -> TrainConfig:
    parser = Command("jobs.train", "", TrainConfig).parser
    parsed = parser.instantiate(parser.parse_args(arguments)).as_dict()
    return TrainConfig(**{name: parsed[name] for name in TrainConfig.__dataclass_fields__})


@pytest.mark.parametrize(
    ("architecture", "batch_size", "steps_per_epoch"), [("ViT-B-16", 1024, 431), ("ViT-L-14", 256, 1727)]
)
def test_the_papers_numbers(architecture, batch_size, steps_per_epoch):
    config = parse("--config", f"jobs/train-{architecture}.yaml", "--dataset", "mined", "--output", "adapted")
    assert (config.model.architecture, config.model.weights) == (architecture, "openai")
    assert (config.batch_size, config.mode, config.loss.kind) == (batch_size, "full_then_mask_prompt", "contrastive")
    full, prompts = config.full, config.mask_prompt
    assert (full.epochs, full.learning_rate, full.weight_decay, full.warmup_steps) == (5, 5e-6, 0.2, 100)
    assert (prompts.epochs, prompts.learning_rate, prompts.weight_decay, prompts.depth) == (5, 2e-2, 0.0, 3)
    assert [(phase.name, phase.steps_per_epoch, phase.steps) for phase in plan_phases(config, PAIRS)] == [
        ("full", steps_per_epoch, 5 * steps_per_epoch),
        ("mask_prompt", steps_per_epoch, 5 * steps_per_epoch),
    ]


def test_the_example_states_the_defaults():
    assert parse("--config", "jobs/train.yaml") == TrainConfig(dataset="./mined", output="./adapted")
