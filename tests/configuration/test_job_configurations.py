"""The configurations of all jobs: every number has a limit, and every way in says the same when it is broken."""

import json
import re
import types
from collections.abc import Iterator
from dataclasses import is_dataclass, replace
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from jobs import evaluate as evaluate_job
from jobs import mine as mine_job
from jobs import run as run_job
from jobs import segment as segment_job
from jobs import serve as serve_job
from jobs import train as train_job
from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.chain.config import ChainConfig
from pipeline.configuration.limits import check, limits_of
from pipeline.configuration.markers import running_keys
from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.evaluation.config import EvaluateConfig
from pipeline.evaluation.datasets.config import DatasetConfig
from pipeline.mining.config import MineConfig
from pipeline.proposals.config import ProposalsConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.serving.config import ServerConfig
from pipeline.simulation.config import SimulationConfig
from pipeline.training.config import DataConfig, FullConfig, ModelConfig, TrainConfig, ValidationConfig

CONFIGURATIONS = (
    MineConfig, TrainConfig, EvaluateConfig, SegmentJobConfig, ServerConfig, ChainConfig, SimulationConfig,
)  # fmt: skip


def _unlimited(hint: Any, key: str) -> Iterator[str]:
    """Keys of numbers below a type that have no limit."""
    origin = get_origin(hint)
    if hint is ProposalsConfig:
        return  # which options there are is for the backends to say, and for their tests
    if is_dataclass(hint):
        for name, inner in get_type_hints(hint, include_extras=True).items():
            yield from _unlimited(inner, f"{key}.{name}")
    elif origin is Annotated and not limits_of(hint):
        yield from _unlimited(hint.__origin__, key)
    elif origin in (Union, types.UnionType, list, dict, tuple):
        for inner in get_args(hint):
            yield from _unlimited(inner, key)
    elif hint in (int, float):
        yield key
    else:
        assert origin in (Annotated, Literal) or hint in (str, bool, type(None), Any), f"{key}: {hint} is new here"


@pytest.mark.parametrize("kind", CONFIGURATIONS, ids=lambda kind: kind.__name__)
def test_every_number_has_a_limit(kind):
    """Whoever adds a field says what it may be."""
    assert list(_unlimited(kind, kind.__name__)) == []


def test_defaults_are_within_their_limits():
    """Also those that only a larger configuration has."""
    check(_mine())
    check(_train())
    check(_evaluate())
    check(ServerConfig())
    check(SegmentJobConfig(output="x"))
    check(SimulationConfig(nodes=1, images=1))


@pytest.mark.parametrize(
    ("job", "key", "value", "allowed"),
    [
        (mine_job, "images.max_side", -1, "at least 0"),
        (mine_job, "shards.max_side", -5, "at least 0"),
        (mine_job, "shards.jpeg_quality", 0, "at least 1 and at most 100"),
        (mine_job, "shards.jpeg_quality", 101, "at least 1 and at most 100"),
        (mine_job, "nouns.min_count", 0, "at least 1"),
        (mine_job, "nouns.max_caption_length", 0, "at least 1"),
        (mine_job, "matching.min_score", 1.5, "at least -1 and at most 1"),
        (mine_job, "regions.expand", 0.5, "at least 1"),
        (mine_job, "resources.wait_minutes", -1.0, "at least 0"),
        (mine_job, "limit", 0, "at least 1"),
        (train_job, "full.learning_rate", -1.0, "above 0"),
        (train_job, "data.held_out_share", 2.0, "at least 0 and at most 1"),
        (train_job, "max_failures", -2, "at least -1"),
        (evaluate_job, "segmentation.weight", 1.5, "at least 0 and at most 1"),
        (segment_job, "clip.threads", 0, "at least 1"),
        (serve_job, "serve.port", 65536, "at least 1 and at most 65_535"),
        (run_job, "mine.images.min_side", -1, "at least 0"),
        (run_job, "train.mask_prompt.epochs", 0, "at least 1"),
    ],
    ids=lambda value: None if isinstance(value, str | int | float) else value.__name__.removeprefix("jobs."),
)
def test_the_command_line_and_yaml_say_what_is_allowed(job, key, value, allowed, tmp_path, capsys):
    """Key, what was found, what is allowed; exit code 2, and nothing was begun."""
    required = {
        mine_job: ["--captions.path=x", "--captions.format=coco", "--output=x"],
        train_job: ["--dataset=x", "--output=x"],
        evaluate_job: ["--dataset.kind=folder", "--dataset.root=x", "--output=x"],
        segment_job: ["--output=x"],
        serve_job: [],
        run_job: ["--output=x", "--mine.captions.path=x", "--mine.captions.format=coco"],
    }[job]
    message = f"error: {key} is {value}; it must be {allowed}\n"
    assert job.main([*required, f"--{key}={value}"]) == 2
    assert capsys.readouterr().err == message

    nested: Any = value
    for name in reversed(key.split(".")):
        nested = {name: nested}
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(nested))
    assert job.main([f"--config={file}", *required]) == 2
    assert capsys.readouterr().err == message


def test_a_list_of_sections_says_which_one(tmp_path, capsys):
    """Evaluations of a chain are numbered."""
    evaluations = json.dumps([{"dataset": {"kind": "folder", "root": "x"}, "limit": 0}])
    arguments = ["--output=x", "--mine.captions.path=x", "--mine.captions.format=coco", f"--evaluate={evaluations}"]
    assert run_job.main(arguments) == 2
    assert capsys.readouterr().err == "error: evaluate[0].limit is 0; it must be at least 1\n"


def test_python_says_the_same():
    """From a notebook there is no command line."""
    config = _train(full=FullConfig(learning_rate=-1))
    with pytest.raises(UserError, match=re.escape("full.learning_rate is -1; it must be above 0")):
        check(config)


def test_what_may_change_while_a_job_is_under_way():
    """The fingerprint of an output directory is about all other keys, so this list is a contract."""
    assert set(running_keys(MineConfig)) == {
        "resources", "output", "max_reject_fraction", "clip.batch_size", "clip.threads", "proposals.batch_size",
        "verify", "images.web.per_host", "images.web.attempts", "images.web.timeout_seconds", "images.web.robots_tag",
    }  # fmt: skip
    assert set(running_keys(TrainConfig)) == {
        "output", "workers", "checkpoints", "loggers", "log_every", "max_failures", "data.loaders", "data.cache",
        "data.cache_gb", "compile", "gradient_checkpointing", "micro_batch_size", "retention.batch_size",
        "retention.readers",
    }  # fmt: skip
    models = {"output", "workers", "wait_minutes", "gpus", "clip.batch_size", "clip.threads", "proposals.batch_size"}
    models |= {"segmentation.bank.memory_gb"}
    assert set(running_keys(EvaluateConfig)) == models | {"dataset.root"}
    assert set(running_keys(SegmentJobConfig)) == models | {"images", "things"}


def test_local_paths_become_absolute(tmp_path, monkeypatch):
    """Names of models and URIs stay as they are; so does a name that a folder happens to have."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openai").mkdir()
    (tmp_path / "clip.pt").touch()
    mine = with_absolute_paths(_mine(captions=CaptionsConfig("coco", "c.json", images="zip://a::b.zip")))
    assert (mine.captions.path, mine.captions.images) == (f"{tmp_path}/c.json", f"zip://a::{tmp_path}/b.zip")
    assert mine.output == f"{tmp_path}/mined"
    assert (mine.clip.architecture, mine.clip.weights) == ("ViT-B-16", "openai")
    train = _train(model=ModelConfig("local-dir:model", "clip.pt"), validation=ValidationConfig("s3://bucket/other"))
    train = with_absolute_paths(replace(train, data=DataConfig(cache="cache")))
    assert (train.dataset, train.output) == (f"{tmp_path}/mined", f"{tmp_path}/adapted")
    assert train.model == ModelConfig(f"local-dir:{tmp_path}/model", f"{tmp_path}/clip.pt")
    assert (train.validation.dataset, train.data.cache) == ("s3://bucket/other", "cache")
    assert with_absolute_paths(_evaluate()).dataset.root == storage.absolute("ade")


def test_a_secret_in_a_path_is_refused():
    """Where it is given from Python, too."""
    with pytest.raises(UserError, match=r"^captions\.path contains a secret"):
        with_absolute_paths(_mine(captions=CaptionsConfig("coco", "https://user:password@host/c.json")))


def _mine(**changes: Any) -> MineConfig:
    return MineConfig(**({"captions": CaptionsConfig("coco", "c.json"), "output": "mined"} | changes))


def _train(**changes: Any) -> TrainConfig:
    return TrainConfig(dataset="mined", output="adapted", **changes)


def _evaluate() -> EvaluateConfig:
    return EvaluateConfig(dataset=DatasetConfig("ade20k_150", "ade"), output="evaluated")
