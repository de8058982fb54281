"""The documents can be believed: their code runs, commands parse, and keys, links, modules and targets are there.

The queries have tests of their own (`tests/dataset/test_queries.py`), and so have the commands of `cluster/README.md`.
"""

import functools
import importlib.util
import re
import shlex
import shutil
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from jobs.command import Command
from pipeline.chain.config import ChainConfig
from pipeline.clip import load_clip, save_clip
from pipeline.evaluation.config import EvaluateConfig
from pipeline.interpolation.config import InterpolateConfig
from pipeline.mining.config import MineConfig
from pipeline.proposals.backends import BACKENDS, find_backend, options_class
from pipeline.proposals.options import KEY, read_options
from pipeline.retention.config import ImagesJobConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.serving.config import ServerConfig
from pipeline.training.config import TrainConfig
from tests.cluster.documents import DOCUMENTS, indented_commands
from tests.cluster.test_commands import parse, parse_job
from tests.conftest import REPOSITORY

# The blocks of the queries are run by tests/dataset/test_queries.py.
PYTHON = [
    block
    for text in DOCUMENTS.values()
    for block in re.findall(r"^```python\n(.*?)^```$", text.partition("\n## Queries\n")[0], re.MULTILINE | re.DOTALL)
]
PROSE = {name: re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S) for name, text in DOCUMENTS.items()}
# Also where a line of the text is broken inside them.
INLINE = {name: [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)] for name, text in PROSE.items()}
ALL_INLINE = [code for codes in INLINE.values() for code in codes]

CONFIGS = {
    "mine": MineConfig,
    "train": TrainConfig,
    "segment": SegmentJobConfig,
    "evaluate": EvaluateConfig,
    "evaluate classification": ImagesJobConfig,
    "train interpolate": InterpolateConfig,
    "serve": ServerConfig,
    "run": ChainConfig,
}
# What a `…` at the end of a command leaves to the reader.
REST = {
    "python -m jobs.evaluate search": ["--config=jobs/evaluate.yaml", "--output=./search"],
    "python -m jobs.inspect proposals": ["--config=jobs/mine.yaml"],
}


@pytest.fixture
def beside_the_jobs(tmp_path, monkeypatch) -> Path:
    """An empty folder from which the files of `jobs/` and `cluster/` can be named as in the project folder."""
    for name in ("jobs", "cluster"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_document_is_read_in_two_minutes():
    assert len(DOCUMENTS["README.md"].encode()) <= 8192


def test_every_block_is_of_a_kind_that_is_tested():
    found = {(name, kind) for name, text in DOCUMENTS.items() for kind in re.findall(r"^```(.+)$", text, re.MULTILINE)}
    assert {kind for name, kind in found if name != "cluster/README.md"} <= {"python", "sql", "yaml"}
    assert {name for name, kind in found if kind == "sql"} == {"schemas/README.md"}
    indented = [line for text in PROSE.values() for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE)]
    assert [line for line in indented if re.match(r"(import|from) ", line)] == []


def test_the_configurations_in_them_have_keys_that_are_there():
    def named(values: dict, before: str = "") -> set[str]:
        if "backends" in values:  # options under the name of each
            options = {key: value for own in values["options"].values() for key, value in own.items()}
            values = {**values, "options": options}
        inside = [named(value, f"{before}{key}.") for key, value in values.items() if isinstance(value, dict)]
        return {f"{before}{key}" for key in values}.union(*inside)

    blocks = re.findall(r"^```yaml\n(.*?)^```$", "\n".join(DOCUMENTS.values()), re.MULTILINE | re.DOTALL)
    assert sorted(set().union(*(named(yaml.safe_load(block)) for block in blocks)) - keys()) == []


@pytest.mark.slow
def test_the_python_code_runs(mined, world, small_clip, tmp_path, monkeypatch):
    """Each by itself, with a small world and a small CLIP in place of the files that it names."""
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
    for block in PYTHON:
        exec(block.replace("{000000..000461}", f"{{000000..{last:06d}}}"), names := {})
        found |= names

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


# Those of cluster/README.md are for tests/cluster/test_commands.py.
TYPED = [
    *(words for name in DOCUMENTS.keys() - {"cluster/README.md"} for words in indented_commands(DOCUMENTS[name])),
    *(shlex.split(code) for code in ALL_INLINE if code.startswith("python -m jobs.")),
]
# Two options do more than being parsed.
COMMANDS = sorted(
    {tuple(words) for words in TYPED if words[0] == "python" and not {"--help", "--simulate"} & set(words)}
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("beside_the_jobs")
def test_the_commands_parse(words, monkeypatch):
    """By the job's own parser; what needs no Ray then looks for a dataset that is not there."""
    parse_job([*words, *REST.get(" ".join(words[:4]), [])], monkeypatch)


def test_there_are_commands_of_every_job():
    jobs = {path.stem for path in (REPOSITORY / "jobs").glob("*.py") if "\ndef main(" in path.read_text()}
    assert {words[2].removeprefix("jobs.") for words in COMMANDS} == jobs


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("*.yaml")), ids=lambda path: path.name)
@pytest.mark.usefixtures("beside_the_jobs")
def test_the_configurations_that_ship_are_taken(path, monkeypatch):
    job = path.stem.partition("-")[0]
    words = ["python", "-m", f"jobs.{job}", f"--config=jobs/{path.name}"]
    if path.name.startswith("train-"):  # the paper's numbers alone
        words += ["--dataset=./mined", "--output=./adapted"]
    assert parse(words, monkeypatch)


@pytest.mark.parametrize("path", sorted((REPOSITORY / "jobs").glob("mine*.yaml")), ids=lambda path: path.name)
def test_the_options_in_the_presets_are_those_of_their_backend(path):
    proposals = yaml.safe_load(path.read_text())["proposals"]
    options = proposals.get("options", {})
    read = read_options(options_class(find_backend(proposals["backend"])), options, proposals["backend"])
    assert {name: getattr(read, name) for name in options} == options


@functools.cache
def keys() -> set[str]:
    """Every key of every job's configuration, what they begin with, and the options of all backends."""
    found = set()
    for name, config in CONFIGS.items():
        for action in Command(f"jobs.{name}", "", config).parser._actions:
            parts = str(action.dest).split(".")
            found |= {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    for name in BACKENDS:
        for field in fields(options_class(find_backend(name))):
            found |= {f"{KEY}.{field.name}", f"{KEY}.{name}.{field.name}"}  # the latter of one of several backends
    return found


def test_the_keys_that_they_name_are_there():
    known = keys()
    assert {"captions.path", "clip.batch_size", "checkpoints.keep", "serve.host", "mine.captions.path"} <= known
    files = "json|ya?ml|toml|lock|parquet|[ct]sv|txt|tar|zip|gz|py|sh|md|html|jpg|png|safetensors|pth?"
    named = set()
    for code in set(ALL_INLINE) - {"package.module:Class"}:
        key = re.match(r"([a-z_0-9]+(?:\.[a-z_0-9]+)+)(?=$|[: ])", code)
        if (
            key
            and not re.fullmatch(rf".*\.({files}|example\.com)", key[1])
            and not importlib.util.find_spec(key[1].partition(".")[0])
        ):
            named.add(key[1])
    assert len(named) > 25
    assert sorted(named - known) == []


def test_the_options_of_commands_are_in_the_answers_to_help():
    """`--any.key` anywhere in the text, also in part of a command."""
    known = keys()
    named = {option for code in ALL_INLINE for option in re.findall(r"--([a-z_0-9]+(?:\.[a-z_0-9]+)+)", code)}
    assert sorted(named - known - {"any.key", "proposals.options.stripes"}) == []  # the latter is of an example


def links(name: str) -> list[tuple[Path, str]]:
    """File and heading of every link of a document; both as they are, whether or not they are there."""
    folder = (REPOSITORY / name).parent
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", PROSE[name]) if "://" not in target]
    return [
        ((folder / file).resolve() if file else REPOSITORY / name, heading)
        for file, _, heading in (target.partition("#") for target in targets)
    ]


def headings(document: str) -> set[str]:
    """As links name them: small letters, no punctuation, - for spaces."""
    lines = re.findall(r"^#+ (.*)$", document, re.MULTILINE)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", line.lower())) for line in lines}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name):
    found = links(name)
    assert [file for file, _ in found if not file.exists()] == []
    there = {file: headings(file.read_text(encoding="utf8")) for file, heading in found if heading}
    assert [(file, heading) for file, heading in found if heading and heading not in there[file]] == []


def test_links_are_called_like_the_file_that_they_lead_to():
    called = [
        (name, text, target)
        for name, text in PROSE.items()
        for text, target in re.findall(r"\[`([\w/.-]+\.\w+)`\]\(([^)#\s]+)\)", text)
    ]
    assert len(called) > 100
    assert [(name, text, target) for name, text, target in called if not f"/{target}".endswith(f"/{text}")] == []


def test_every_document_is_reached_from_the_first():
    reached, new = set(), {REPOSITORY / "README.md"}
    while new:
        reached |= new
        names = [file.relative_to(REPOSITORY).as_posix() for file in new if file.suffix == ".md"]
        new = {file for name in names for file, _ in links(name)} - reached
    assert {name for name in DOCUMENTS if REPOSITORY / name not in reached} == set()


def test_the_modules_files_and_targets_that_they_name_are_there():
    modules = {shlex.split(code)[2] for code in ALL_INLINE if code.startswith("python -m ")}
    assert len(modules) > 15
    assert sorted(name for name in modules if importlib.util.find_spec(name) is None) == []
    rooms = ("tests/", "pipeline/", "jobs/", "schemas/", "cluster/")
    named = {word for code in ALL_INLINE for word in code.split() if word.startswith(rooms)}
    assert sorted(name for name in named if not (REPOSITORY / name).exists()) == []
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    typed = [line for text in PROSE.values() for line in re.findall(r"^    (make \w+)", text, re.MULTILINE)]
    named = {code.split()[1] for code in [*ALL_INLINE, *typed] if re.match(r"make [a-z]", code)}
    assert {"demo", "test", "lint"} <= named <= targets


def test_who_may_import_whom_is_what_the_linter_checks():
    floors = re.findall(r"^\d+\. (`\w+`(?:, `\w+`)*)$", DOCUMENTS["pipeline/README.md"], re.MULTILINE)
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    rooms = [[name.removeprefix("pipeline.") for name in layer.split(" | ")] for layer in layers]
    assert [re.findall(r"\w+", floor) for floor in floors] == rooms


def test_the_workflow_does_what_ci_does():
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    [job] = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
