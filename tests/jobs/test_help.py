"""`--help`: it says what every key means, at once."""

import functools
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_type_hints

import pytest

from jobs.help import readable_type
from pipeline.chain.config import ChainConfig
from pipeline.evaluation.config import EvaluateConfig
from pipeline.interpolation.config import InterpolateConfig
from pipeline.mining.config import MineConfig
from pipeline.retention.config import ImagesJobConfig
from pipeline.segmentation.job_config import SegmentJobConfig
from pipeline.serving.config import ServerConfig
from pipeline.training.config import TrainConfig
from tests.report.made_dataset import make_dataset

CONFIGURATIONS = {
    "mine": MineConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "evaluate search": EvaluateConfig,
    "evaluate classification": ImagesJobConfig,
    "evaluate retrieval": ImagesJobConfig,
    "train interpolate": InterpolateConfig,
    "segment": SegmentJobConfig,
    "run": ChainConfig,
    "serve": ServerConfig,
    "inspect proposals": MineConfig,
}
JOBS = (
    *CONFIGURATIONS,
    "inspect",
    "inspect report",
    "inspect duplicates",
    "inspect leakage",
    "inspect precision",
    "inspect quality",
    "export",
    "demo",
    "train export",
    "evaluate compare",
    "evaluate mess",
)
HEAVY = (
    "torch",
    "open_clip",
    "spacy",
    "ray",
    "transformers",
    "pyarrow",
    "aiohttp",
    "botocore",
    "duckdb",
    "cv2",
    "sklearn",
    "scipy",
)
_RUN = """
import json, sys
from importlib import import_module

arguments = json.loads(sys.argv[1])
try:
    code = import_module("jobs." + arguments[0]).main(arguments[1:])
except SystemExit as stopped:
    code = stopped.code
print(json.dumps({"code": code, "modules": sorted(name for name in sys.modules if "." not in name)}), file=sys.stderr)
"""


@functools.cache
def _run(*arguments: str) -> tuple[str, int, set[str]]:
    """What a job prints, its exit code, and the packages that it has imported, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", _RUN, json.dumps(arguments)], capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith('{"code"')]
    assert lines, done.stderr
    said = json.loads(lines[-1])  # a library may print more at the end of a process
    return done.stdout, said["code"], set(said["modules"])


def _keys(kind: type, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            yield from _keys(hints[field.name], f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}"


@pytest.mark.parametrize("job", JOBS)
def test_help_says_what_every_key_means_and_loads_nothing_heavy(job):
    """Nobody waits for torch to read how a job is called."""
    text, code, modules = _run(*job.split(), "--help")
    assert code == 0
    assert not modules.intersection(HEAVY)
    entries = _entries(text)
    assert "<class" not in text
    assert "Annotated" not in text
    for key in _keys(CONFIGURATIONS[job]) if job in CONFIGURATIONS else ():
        explained = entries[key].partition("(type: ")[0].partition("(required")[0].partition("(default: ")[0]
        assert explained.strip(), f"--{key} is not explained"


def _entries(text: str) -> dict[str, str]:
    """The text of each option, by its name."""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line.startswith("  --"):
            option, _, rest = line.strip().partition("  ")
            name = option.split(",")[0].split()[0].removeprefix("--")
            found[name] = rest
        elif line.startswith("     "):
            found[name] = f"{found.get(name, '')} {line.strip()}"
    return found


@pytest.mark.parametrize("job", ["mine", "train", "evaluate", "segment", "run", "serve", "inspect", "export", "demo"])
def test_the_lines_to_type_are_not_folded(job):
    """They can be copied."""
    lines = importlib.import_module(f"jobs.{job}").__doc__.splitlines()
    text, _, _ = _run(job, "--help")
    assert [line for line in lines if "python -m" in line]
    assert set(lines) <= set(text.splitlines())


def test_inspecting_loads_no_model_library(tmp_path: Path):
    """It prints counts."""
    make_dataset(tmp_path, ["dog", "cat"], shards=1, images_per_shard=3, nouns_per_image=2)
    (tmp_path / "dataset.json").unlink()  # as while it is mined
    for arguments in ([str(tmp_path)], [str(tmp_path), "--verify"]):
        text, code, modules = _run("inspect", *arguments)
        assert code == 0, text
        assert not modules.intersection({"torch", "open_clip", "spacy", "ray", "transformers"})


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("int", "int"),
        ("Annotated[int, at least 1]", "int at least 1"),
        ("Annotated[int, at least 1, <class 'pipeline.configuration.markers.Running'>]", "int at least 1"),
        ("Annotated[str, <class 'a.Running'>, <LocalPath.OUTPUT: 'directory: refused'>]", "str"),
        ("Optional[Annotated[str | null, <LocalPath.ANY: 'path'>]]", "str or null"),
        ("Optional[Annotated[float, above 0 and at most 1]]", "float above 0 and at most 1 or null"),
        ("Annotated[Optional[Annotated[int, at least 1]], <class 'a.Running'>]", "int at least 1 or null"),
        ("Optional[list[Annotated[str, <class 'a.Running'>]]]", "list[str] or null"),
        ("list[Annotated[Literal['a', 'b'], <class 'a.Running'>]]", "list[Literal['a', 'b']]"),
    ],
)
def test_types_are_shown_with_their_limits_alone(written, shown):
    """Marks are for the program."""
    assert readable_type(written) == shown
