"""Commands in the documents and in cluster/ parse: Ray's by Ray's own parser, ours by that of the job."""

import importlib
import re

import click
import pytest
import yaml
from ray.scripts.scripts import cli

from cluster import wait_for
from tests.cluster.documents import CLUSTER, DOCUMENTS, REPOSITORY, fenced_commands, indented_commands

README = (CLUSTER / "README.md").read_text()
ON_CLUSTERS = [words for text in DOCUMENTS.values() for words in indented_commands(text) if words[0] == "ray"]
ENTRYPOINTS = [
    yaml.safe_load(path.read_text())["spec"]["entrypoint"].split()
    for path in sorted((CLUSTER / "kuberay").glob("rayjob-*.yaml"))
]


def parse_ray(words: list[str]) -> list[str]:
    """Parse a `ray …` command without running it; returns what follows `--`.

    Raises:
        click.ClickException: it does not parse.
    """
    command: click.Command = cli
    context = command.make_context("ray", words[1:])
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, [*context.protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)
    return words[words.index("--") + 1 :] if "--" in words else []


def parse_job(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse `python -m jobs.… …` by the job's own parser. Its work is left out, all the rest is the real thing.

    Raises:
        SystemExit: it does not parse.
    """
    job = importlib.import_module(words[2])
    for module in ("jobs.ray_connection", words[2]):  # a job has it from there, or asks Command for it
        monkeypatch.setattr(f"{module}.work_on_ray", lambda work: None, raising=False)
    job.main(words[3:])


def parse(words: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    """Parse a command and all that it starts; False if it is none of ours."""
    for word in words:
        if re.match(r"(cluster|jobs)/", word):
            assert (REPOSITORY / word).exists(), word
    if words[0] == "ray":
        after = parse_ray(words)
        assert not after or parse(after, monkeypatch)
    elif words[:2] == ["python", "-m"] and words[2].startswith("jobs."):
        parse_job(words, monkeypatch)
    elif words[:2] == ["python", "cluster/wait_for.py"]:
        assert parse(wait_for.parse(words[2:]).command, monkeypatch)
    elif "cluster/slurm.sh" in words:
        assert parse(words[words.index("cluster/slurm.sh") + 1 :], monkeypatch)
    else:
        return False
    return True


@pytest.fixture(autouse=True)
def _in_repository(monkeypatch, tmp_path):
    monkeypatch.chdir(REPOSITORY)


@pytest.mark.parametrize("words", ENTRYPOINTS + ON_CLUSTERS, ids=" ".join)
def test_commands_elsewhere_parse(words, monkeypatch):
    assert parse(words, monkeypatch)


def test_commands_of_the_cluster_guide_parse(monkeypatch, tmp_path):
    # Inspecting is done at once, and would look for the bucket.
    local = README.replace("jobs.inspect s3://bucket", f"jobs.inspect {tmp_path}")
    parsed = [words for words in fenced_commands(local) if parse(words, monkeypatch)]
    names = {" ".join(words[:3]) if words[:2] == ["ray", "job"] else " ".join(words[:2]) for words in parsed}
    assert names >= {"ray up", "ray down", "ray dashboard", "ray get-auth-token", "ray job submit", "ray job logs"}
    assert sum("jobs.run" in words for words in parsed) == 4


@pytest.mark.parametrize(
    "words",
    [
        ["ray", "job", "submit", "--no-wait"],
        ["ray", "job", "submit", "--nowait", "--", "true"],
        ["ray", "upp", "cluster/aws.yaml"],
    ],
    ids=" ".join,
)
def test_wrong_ray_commands_are_noticed(words):
    with pytest.raises(click.ClickException):
        parse_ray(words)


@pytest.mark.parametrize("words", [["python", "-m", "jobs.mine", "--outputt", "x"]], ids=" ".join)
def test_wrong_job_commands_are_noticed(words, monkeypatch):
    with pytest.raises(SystemExit):
        parse_job(words, monkeypatch)


def test_links_of_the_guide_lead_somewhere():
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert targets
    assert [target for target in targets if not (CLUSTER / target).exists()] == []
    # Every platform of the table has its chapter.
    anchors = re.findall(r"^\| \[[^]]+\]\(#([a-z-]+)\)", README, re.MULTILINE)
    headings = {re.sub(r"\s", "-", heading.lower()) for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)}
    assert len(anchors) == 5
    assert set(anchors) <= headings


def test_everything_in_the_folder_is_named_in_the_guide():
    there = {path.name for path in CLUSTER.iterdir() if not path.name.startswith((".", "_"))}
    assert {name for name in there - {"README.md"} if name not in README} <= {"requirements.txt"}


def test_five_commands_a_platform():
    chapters = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL))
    for platform in ("AWS", "Google Cloud", "Kubernetes", "Slurm", "Machines of your own"):
        first_block = re.search(r"^```sh\n(.*?)^```", chapters[platform], re.MULTILINE | re.DOTALL)[1]
        assert len(first_block.splitlines()) == 5, platform
