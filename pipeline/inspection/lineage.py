"""What an output was made from: a training run names its dataset, a dataset the CLIP that matched it, which may be
another run's. Read from the `config.yaml` of each directory, without trust: one that is gone, or was made again since,
ends the chain with a remark.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import storage
from pipeline.configuration.described import read_description
from pipeline.configuration.fingerprint import kind_of
from pipeline.dataset.files import listed_files
from pipeline.dataset.layout import Layout, shard_of
from pipeline.errors import UserError
from pipeline.storage.model_addresses import LOCAL_DIR
from pipeline.storage.secrets import redacted

_MOST_LINKS = 200
"""More are no chain of rounds but somebody's joke."""
_LONGEST_NAME = 300


@dataclass(frozen=True)
class Link:
    """An output or a model, and how far it is from the output that was asked about."""

    depth: int
    """0 for the output itself, 1 for what it was made from, …"""
    kind: str
    """`training run`, `dataset`, `CLIP`, `proposals`, or `unknown`."""
    name: str
    """URI of a directory, or what the configuration calls a model."""
    sha256: str | None = None
    """Of a run or a dataset its fingerprint, of a CLIP its weights, as the output that used it has them."""
    role: str = ""
    """What it was used for: `matched fold 0`, say."""
    problem: str = ""
    """Why the chain cannot be followed from here, or cannot be relied on."""


def lineage(output: str) -> list[Link]:
    """The chain behind a training run or a mined dataset, each link followed by what it was made from.

    Args:
        output: output directory, any fsspec URI.

    Raises:
        UserError: there is no output of a job.
        OSError: storage cannot be read.
    """
    read_description(output)
    links: list[Link] = []
    for link in _walk(output, 0, "", {}, ()):
        links.append(link)
        if len(links) == _MOST_LINKS:
            return [*links, Link(link.depth, "unknown", "…", problem=f"more than {_MOST_LINKS} links")]
    return links


def described(links: list[Link]) -> Iterator[str]:
    """A line for each link, deeper ones further to the right."""
    for link in links:
        parts = [f"{link.kind} {link.name}", link.role, f"sha256 {link.sha256[:16]}…" if link.sha256 else ""]
        line = ", ".join(part for part in parts if part)
        yield f"{'  ' * link.depth}{line}" + (f"  ({link.problem})" if link.problem else "")


def _walk(output: str, depth: int, role: str, expected: dict[str, str], above: tuple[str, ...]) -> Iterator[Link]:
    """`expected`: what the link before says of this one; `above`: directories on the way here."""
    output = output.rstrip("/")
    if output in above:
        yield Link(depth, "unknown", _shown(output), role=role, problem="it leads back to itself")
        return
    try:
        description = read_description(output)
    except (UserError, OSError) as error:
        yield Link(depth, "unknown", _shown(output), role=role, problem=_shown(error))
        return
    kind, above = kind_of(description), (*above, output)
    fingerprint = _text(description.get("fingerprint"))
    if kind == "train":
        yield Link(depth, "training run", _shown(output), fingerprint, role, _unfinished(output))
        yield from _of_run(description, depth + 1, above)
    elif kind == "mine":
        problem = _other_manifests(output, expected.get("manifest_sha256"))
        yield Link(depth, "dataset", _shown(output), fingerprint, role, problem)
        yield from _of_dataset(description, depth + 1, above)
    else:
        yield Link(depth, "unknown", _shown(output), fingerprint, role, f"an output of jobs.{kind}" if kind else "")


def _of_run(description: dict, depth: int, above: tuple[str, ...]) -> Iterator[Link]:
    configuration = description["configuration"]
    if dataset := _text(configuration.get("dataset")):
        found = _text(_part(description, "dataset").get("manifest_sha256"))
        yield from _walk(dataset, depth, "trained on", {"manifest_sha256": found} if found else {}, above)
    digest = _text(_part(description, "original").get("sha256"))
    yield from _clip(_part(configuration, "model"), digest, depth, "original", above)


def _of_dataset(description: dict, depth: int, above: tuple[str, ...]) -> Iterator[Link]:
    configuration, models = description["configuration"], _part(description, "models")
    clip, digest = _part(configuration, "clip"), _text(_part(models, "clip").get("sha256"))
    folds = models.get("cross_fit")
    folds = [fold for fold in folds if isinstance(fold, dict)] if isinstance(folds, list) else []
    yield from _clip(clip, digest, depth, "embedded the nouns" if folds else "matched", above)
    for number, fold in enumerate(folds):
        yield from _clip(fold, _text(fold.get("sha256")), depth, f"matched fold {number}", above)
    proposals = _part(configuration, "proposals")
    kept = _text(_part(proposals, "options").get("dataset"))
    if proposals.get("backend") == "mined" and kept:
        # Not followed: its CLIP has no part in what was taken of it.
        digest = _text(_part(models, "proposals").get("proposals_sha256"))
        yield Link(depth, "proposals", _shown(kept), digest, "kept by")


def _clip(config: dict, digest: str | None, depth: int, role: str, above: tuple[str, ...]) -> Iterator[Link]:
    architecture, weights = _text(config.get("architecture")), _text(config.get("weights"))
    name = ", ".join(part for part in (architecture, weights) if part) or "unnamed"
    yield Link(depth, "CLIP", _shown(name), digest, role)
    folder = (architecture or "").removeprefix(LOCAL_DIR).rstrip("/")
    if not (architecture or "").startswith(LOCAL_DIR) or not folder.endswith("/model"):
        return
    run = folder.removesuffix("/model")
    try:
        made = storage.exists(storage.join(run, "config.yaml"))
    except OSError as error:
        yield Link(depth + 1, "unknown", _shown(run), problem=_shown(error))
        return
    if made:
        yield from _walk(run, depth + 1, "made by", {}, above)
    else:
        yield Link(depth + 1, "unknown", _shown(run), problem="no config.yaml there, so nothing says what made it")


def _unfinished(run: str) -> str:
    try:
        return "" if storage.exists(storage.join(run, "result.json")) else "not complete"
    except OSError as error:
        return _shown(error)


def _other_manifests(dataset: str, expected: str | None) -> str:
    """Whether the manifests are other ones than a run was trained on; as `Samples.manifest_sha256`."""
    if expected is None:
        return ""
    layout = Layout(dataset)
    try:
        files = listed_files(layout)
    except (UserError, OSError) as error:
        return _shown(error)
    if not files:
        return "not complete, so that nothing says whether it is as the run read it"
    manifests = {}
    for file, checksum in files.items():
        folder, _, name = file.partition("/")
        if folder == "manifests" and (shard := shard_of(folder, name)) is not None:
            manifests[shard] = checksum["sha256"]
    found = hashlib.sha256("".join(manifests[shard] for shard in sorted(manifests)).encode()).hexdigest()
    return "" if found == expected else "its manifests are not those that the run read: mined again since?"


def _part(description: dict, name: str) -> dict:
    found = description.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _shown(value: object) -> str:
    return redacted(str(value))[:_LONGEST_NAME]
