"""The image: the locked versions, one name, nothing that is missing, and no secret anywhere in cluster/."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from tests.cluster.documents import CLUSTER, IMAGE, REPOSITORY

DOCKERFILE = (CLUSTER / "Dockerfile").read_text()
LOCK = (REPOSITORY / "requirements.lock").read_text()
ARGUMENTS = dict(re.findall(r'^ARG (\w+)="?([^"\n]*)"?$', DOCKERFILE, re.MULTILINE))
TEXTS = {path: path.read_text() for path in CLUSTER.rglob("*") if path.suffix in {".yaml", ".md", ".sh", ".txt", ".py"}}
TEXTS[CLUSTER / "Dockerfile"] = DOCKERFILE


def locked(name: str) -> set[str]:
    """All versions of a package in the lock file: one, or one for each Python."""
    return set(re.findall(rf"^{re.escape(name)}==(\S+)", LOCK, re.MULTILINE))


def test_the_image_adds_nothing_that_the_lock_has_in_another_version():
    added = [
        Requirement(line) for line in (CLUSTER / "requirements.txt").read_text().splitlines() if line and line[0] != "#"
    ]
    assert added
    for requirement in added:
        assert str(requirement.specifier).startswith("=="), f"{requirement} is not pinned"
        assert not locked(requirement.name), f"{requirement.name} is locked"


def test_the_lock_is_installed_as_it_is():
    """It leaves out what a package asks for and nothing uses (`make lock`), which pip would look for."""
    commands = [line for text in TEXTS.values() for line in text.splitlines() if "--require-hashes" in line]
    assert len(commands) == 2
    assert all("--no-deps" in line for line in commands)


def test_cuda_and_the_noun_pipeline_fit_the_locked_packages():
    assert {ARGUMENTS["CUDA_VERSION"]} == locked("cuda-toolkit")
    [spacy] = locked("spacy")
    assert Version(ARGUMENTS["SPACY_MODEL_VERSION"]).release[:2] == Version(spacy).release[:2]


def test_what_the_image_copies_is_there():
    copied = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.*)$", DOCKERFILE, re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert len(sources) >= 6
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []


def test_it_does_not_run_as_root():
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users[-1] not in ("root", "0")
    assert "USER" not in DOCKERFILE.rpartition(f"USER {users[-1]}")[2]


def test_one_image_with_the_version_of_the_project():
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert IMAGE.endswith(f":{version}")
    named = [(path.name, name) for path, text in TEXTS.items() for name in re.findall(r"\S+/ovseg-pipeline\S*", text)]
    assert {path for path, _ in named} >= {"aws.yaml", "gcp.yaml", "raycluster.yaml", "rayjob-mine.yaml", "README.md"}
    assert {name for _, name in named} == {IMAGE}


def test_the_ray_of_kubernetes_is_the_locked_one():
    for path in (CLUSTER / "kuberay").iterdir():
        spec = yaml.safe_load(path.read_text())["spec"]
        assert {spec.get("rayClusterSpec", spec)["rayVersion"]} == locked("ray")


def test_no_secrets():
    secret = re.compile(
        r"AKIA[0-9A-Z]{16}|-----BEGIN|hf_[A-Za-z0-9]{20}|(?:SECRET_ACCESS_KEY|AUTH_TOKEN|PASSWORD)\s*[:=]\s*[\"']?[A-Za-z0-9]"
    )
    assert [(path.name, found[0]) for path, text in TEXTS.items() if (found := secret.search(text))] == []
