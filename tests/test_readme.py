"""The README can be believed: its code runs, its commands parse, its keys, links, modules and targets are there.

The queries have tests of their own (`tests/dataset/test_queries.py`), and so have the commands of `cluster/README.md`.
"""

import importlib.util
import re
import shlex
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.command import Command
from pipeline.chain.config import ChainConfig
from pipeline.clip import load_clip, save_clip
from pipeline.evaluation.config import EvaluateConfig
from pipeline.mining.config import MineConfig
from pipeline.proposals.backends import BACKENDS, find_backend, options_class
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.serving.config import ServerConfig
from pipeline.training.config import TrainConfig
from tests.cluster.documents import indented_commands
from tests.cluster.test_commands import parse, parse_job
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# Also where a line of the text is broken inside them.
INLINE = [
    " ".join(code.split()) for code in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S))
]

CONFIGS = {
    "mine": MineConfig,
    "train": TrainConfig,
    "segment": SegmentJobConfig,
    "evaluate": EvaluateConfig,
    "serve": ServerConfig,
    "run": ChainConfig,
}
# What a `…` at the end of a command leaves to the reader.
REST = {
    "python -m jobs.evaluate search": ["--config=jobs/evaluate.yaml", "--output=./search"],
}


@pytest.fixture
def beside_the_jobs(tmp_path, monkeypatch) -> Path:
    """An empty folder from which the files of `jobs/` and `cluster/` can be named as in the project folder."""
    for name in ("jobs", "cluster"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_block_is_of_a_kind_that_is_tested():
    assert set(re.findall(r"^```(.+)$", README, re.MULTILINE)) == {"python", "sql"}
    indented = re.findall(r"^    (\S.*)$", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S), re.MULTILINE)
    assert [line for line in indented if re.match(r"(import|from) ", line)] == []


@pytest.mark.slow
def test_the_python_code_runs(mined, world, small_clip, tmp_path, monkeypatch):
    """In order, in one namespace, with a small world and a small CLIP in place of the files that it names."""
    monkeypatch.chdir(tmp_path)
    Path("mined").symlink_to(mined)
    torch.manual_seed(0)
    save_clip(load_clip(small_clip, mask_prompt_depth=2), Path("adapted/model"))
    [photo, *_] = sorted((world / "images").iterdir())
    shutil.copy(photo, "photo.jpg")
    width, height = Image.open(photo).size
    mask = np.zeros((height, width), np.uint8)
    mask[10:40, 20:60] = 255
    mask[10:24, 20:40] = 0
    Image.fromarray(mask).save("mask.png")
    last = len(list((mined / "shards").glob("*.tar"))) - 1

    found: dict = {}
    # The block on S3 is run by tests/dataset/test_queries.py.
    blocks = [block for block in PYTHON if "s3://" not in block]
    assert len(PYTHON) - len(blocks) == 1
    for block in blocks:
        exec(block.replace("{000000..000461}", f"{{000000..{last:06d}}}"), found)
        if "import webdataset" in block:
            sample = found["sample"]

    assert sample["jpg"].shape == sample["mask.png"].shape
    assert sample["txt"] == sample["json"]["noun"]
    assert found["features"].shape == (1, 64)
    assert found["clip"].vision.depth == 2
    # The mask counts: other patches are prompts.
    with torch.inference_mode():
        whole = found["clip"].vision(found["pixels"], torch.ones_like(found["masks"]))
    assert not torch.equal(found["features"], whole)
    assert found["labels"].shape == (height, width)
    assert set(np.unique(found["labels"])) <= {0, 1, 65535}


COMMANDS = [
    *(words for words in indented_commands(README) if words[0] == "python"),
    *(shlex.split(code) for code in INLINE if code.startswith("python -m jobs.") and "--help" not in code),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("beside_the_jobs")
def test_the_commands_parse(words, monkeypatch):
    """By the job's own parser; what needs no Ray then looks for a dataset that is not there."""
    parse_job([*words, *REST.get(" ".join(words[:4]), [])], monkeypatch)


def test_there_are_commands_of_every_job():
    around = {"__init__", "backend_options", "command", "exit_codes", "ray_connection"}
    jobs = {path.stem for path in (REPOSITORY / "jobs").glob("*.py")} - around
    assert {words[2].removeprefix("jobs.") for words in COMMANDS} == jobs


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.yaml")), ids=lambda path: path.name)
@pytest.mark.usefixtures("beside_the_jobs")
def test_the_configurations_that_ship_are_taken(path, monkeypatch):
    job = path.stem.partition("-")[0]
    words = ["python", "-m", f"jobs.{job}", f"--config=jobs/{path.name}"]
    if path.name.startswith("train-"):  # the paper's numbers alone
        words += ["--dataset=./mined", "--output=./adapted"]
    assert parse(words, monkeypatch)


def keys() -> set[str]:
    """Every key of every job's configuration, and what they begin with."""
    found = set()
    for name, config in CONFIGS.items():
        for action in Command(f"jobs.{name}", "", config).parser._actions:
            parts = str(action.dest).split(".")
            found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    for backend in BACKENDS:
        found |= {f"proposals.options.{option.name}" for option in fields(options_class(find_backend(backend)))}
    return found


def test_the_keys_that_it_names_are_there():
    known = keys()
    assert {"captions.path", "clip.batch_size", "checkpoints.keep", "serve.host", "mine.captions.path"} <= known
    files = r".*\.(json|yaml|parquet|py|md|safetensors|csv|tsv|tar|txt|zip|gz|html|jpg|png|pt|pth)"
    named = set()
    for code in set(INLINE) - {"package.module:Class"}:
        key = re.match(r"([a-z_0-9]+(?:\.[a-z_0-9]+)+)(?=$|[: ])", code)
        if key and not re.fullmatch(files, key[1]):
            named.add(key[1])
    assert len(named) > 25
    assert sorted(named - known) == []


def test_the_options_of_its_commands_are_in_the_answers_to_help():
    """`--any.key` anywhere in the text, also in part of a command."""
    known = keys()
    named = {option for code in INLINE for option in re.findall(r"--([a-z_0-9]+(?:\.[a-z_0-9]+)+)", code)}
    assert sorted(named - known - {"any.key"}) == []


def test_its_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    files = {target.partition("#")[0] for target in targets if "://" not in target} - {""}
    assert len(files) > 8
    assert sorted(name for name in files if not (REPOSITORY / name).exists()) == []
    headings = {re.sub(r"\s", "-", heading.lower()) for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)}
    assert {target[1:] for target in targets if target.startswith("#")} <= headings


def test_the_modules_tests_and_targets_that_it_names_are_there():
    modules = {shlex.split(code)[2] for code in INLINE if code.startswith("python -m ")}
    assert len(modules) > 15
    assert sorted(name for name in modules if importlib.util.find_spec(name) is None) == []
    tests = {word for code in INLINE for word in code.split() if word.startswith(("tests/", "pipeline/", "jobs/"))}
    assert sorted(name for name in tests if not (REPOSITORY / name).exists()) == []
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {code.split()[1] for code in INLINE if code.startswith("make ")}
    assert named
    assert named <= targets
