"""The commands that documents tell the reader to type."""

import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
CLUSTER = REPOSITORY / "cluster"
ROOMS = (".github", "cluster", "jobs", "pipeline", "schemas", "tests")
DOCUMENTS = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf8")
    for path in [
        REPOSITORY / "README.md",
        *(path for room in ROOMS for path in sorted((REPOSITORY / room).rglob("*.md"))),
    ]
}
"""The text of every document, by its path in the repository."""
IMAGE = "registry.example.com/ovseg-pipeline:0.1.0"


def fenced_commands(document: str) -> list[list[str]]:
    """The words of every line in the ```sh blocks of a Markdown text."""
    blocks = re.findall(r"^```sh\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    return [words for block in blocks for words in _split(block)]


def typed_in_chapter(document: str, chapter: str) -> list[str]:
    """The lines of the ```sh blocks of a `## chapter`, as the shell gets them."""
    text = re.search(rf"^## {re.escape(chapter)}\n(.*?)(?=^## |\Z)", document, re.MULTILINE | re.DOTALL)[1]
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def indented_commands(document: str) -> list[list[str]]:
    """The words of every indented line that begins with `ray` or `python -m jobs.`; … is left out."""
    lines = re.findall(r"^    ((?:ray |python -m jobs\.)(?:.*\\\n)*.*)$", document, re.MULTILINE)
    return [[word for word in words if word != "…"] for line in lines for words in _split(line)]


def _split(text: str) -> list[list[str]]:
    joined = re.sub(r"\\\n\s*", "", text)
    # Without what the shell does with it: in the background, into a file.
    lines = (re.sub(r"\s*(&|>\s*[^\s\"']+)$", "", line).strip() for line in joined.splitlines())
    return [shlex.split(line, comments=True) for line in lines if line]
