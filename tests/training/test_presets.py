"""The configurations beside jobs/train.py: the keys exist, and the numbers are those of the papers."""

import open_clip
import pytest

from jobs.command import Command
from pipeline.clip import load_clip
from pipeline.demo.keeping import KEEPING_VARIANTS
from pipeline.microworld.clip import write_untrained_clip
from pipeline.training.config import TrainConfig
from pipeline.training.phases import plan_phases
from tests.training.moving import Finetuning

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


@pytest.mark.parametrize(
    ("name", "architecture", "steps", "weight_decay"),
    [("maskclippp", "EVA02-L-14-336", 20_000, 0.05), ("catseg", "ViT-B-16", 80_000, 1e-4)],
)
def test_the_numbers_of_others(name, architecture, steps, weight_decay):
    """Images a step, steps and rates as in their configurations, whose files the presets name."""
    config = parse("--config", f"jobs/train-{name}.yaml", "--dataset", "mined", "--output", "adapted")
    assert config.model.architecture == architecture
    assert config.model.weights in open_clip.list_pretrained_tags_by_model(architecture)
    assert (config.full.parameters, config.text.parameters) == ("attention_qv", "attention_qv")
    assert config.full.learning_rate == pytest.approx(2e-4 * 0.01)
    assert (config.full.weight_decay, config.full.warmup_steps) == (weight_decay, 0)
    pairs_of_an_image = PAIRS / 118_287
    assert config.batch_size == pytest.approx(4 * pairs_of_an_image, rel=0.1)
    [phase] = plan_phases(config, PAIRS)
    assert steps <= phase.steps < 1.4 * steps


@pytest.mark.parametrize("name", ["maskclippp", "catseg"])
def test_presets_of_others_train(name, tmp_path):
    """A few steps of a small CLIP: query and value of both towers move, and nothing else."""
    write_untrained_clip(tmp_path, seed=3)
    config = parse("--config", f"jobs/train-{name}.yaml", "--dataset", "mined", "--output", "adapted")
    before = load_clip(f"local-dir:{tmp_path}").model.state_dict()
    after = Finetuning(f"local-dir:{tmp_path}", config).run(range(3), negatives=False).merged()
    moved = {name for name, tensor in before.items() if not tensor.equal(after[name])}
    assert moved == {name for name in before if ".attn.in_proj_" in name}
    assert {name.partition(".")[0] for name in moved} == {"visual", "transformer"}
    for name in moved:
        assert before[name].chunk(3)[1].equal(after[name].chunk(3)[1])


def test_what_is_kept_by_the_preset_was_measured():
    """Its shares and its weight are those of the row in the micro world's table."""
    config = parse("--config", "jobs/train-keep.yaml", "--dataset", "mined", "--output", "adapted")
    [measured] = [variant for variant in KEEPING_VARIANTS if variant.title == "full, replay, distillation"]
    assert (measured.mode, config.mode, config.full.parameters) == ("full", "full", "all")
    assert measured.changes == {
        "replay.share": config.replay.share,
        "data.unmasked_share": config.data.unmasked_share,
        "loss.distillation": config.loss.distillation,
    }
    assert config.loss.kind == TrainConfig(dataset="", output="").loss.kind  # that of the micro world


def test_the_example_states_the_defaults():
    assert parse("--config", "jobs/train.yaml") == TrainConfig(dataset="./mined", output="./adapted")
