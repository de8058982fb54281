"""Marks beside the fields of a configuration: what may change while a job is under way, what outputs of earlier
versions do not say, and what is a local path.

    output: Annotated[str, Running, LocalPath.OUTPUT]
    batch_size: Annotated[int, Limit(ge=1), Running] = 8
    compile: Annotated[bool, AbsentMeans(False)] = False
    weights: Annotated[str | None, LocalPath.PATH_OR_NAME] = None
    resources: Annotated[ResourcesConfig, Running] = field(default_factory=ResourcesConfig)  # all of its keys
    templates: Annotated[Templates, ReadOnce(read_templates)] = "vild"
    things: list[Annotated[str, Running]] | None = None  # in the list: jsonargparse offers `--things+` for lists alone

`running_keys(MineConfig)` lists the first, `absent_keys(MineConfig)` the second;
`pipeline.configuration.paths.with_absolute_paths(config)` makes the last absolute, reads what is to be read once, and
refuses secrets in both.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Running:
    """The field says where and how fast a job runs, not what it writes: two runs into one directory may differ in it.

    The class itself is the mark, not an object of it. (Batch sizes and threads can move the last bits of a score;
    `pipeline/README.md` says so.)
    """


@dataclass(frozen=True)
class AbsentMeans:
    """The field is newer than outputs that lie somewhere, and shapes what is written.

    Where it has this value, a directory is the same as one whose `config.yaml` does not know the field: it carries on.
    The value stays when the field's default changes.
    """

    value: Any

    def __hash__(self) -> int:
        """Types are hashed with their marks, and a list has no hash of its own."""
        return hash(repr(self.value))

    def __repr__(self) -> str:
        """Without the value: the brackets of a list would be taken for those of the type that --help prints."""
        return type(self).__name__


class LocalPath(enum.Enum):
    """The field is a path or URI. Workers may run in another directory than this process: it is made absolute."""

    ANY = "path or URI"
    OUTPUT = "directory that the job writes: refused where it would be lost"
    PATH_OR_NAME = "path or URI, or the name of a model: absolute if something is there"
    FILE_OR_NAME = "file, or the name of weights: absolute if a file is there"
    LOCAL_DIR = "name of an architecture, or `local-dir:` and a path, which becomes absolute"


@dataclass(frozen=True)
class ReadOnce:
    """The field may name a file, whose content takes the name's place before the job begins: then the fingerprint is of
    the content, and workers on other machines need no file.
    """

    read: Callable[[Any, str], Any]
    """Returns what stands for a value of the field; its second argument is the key, for messages."""

    def __repr__(self) -> str:
        """Nothing that `--help` shows of a type: marks between angle brackets are left out there."""
        return "<read once>"


def marks(kind: type) -> Iterator[tuple[str, Any, tuple]]:
    """Of every field of a dataclass its name, its type without marks, and the marks."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if name in {field.name for field in fields(kind)}:
            yield name, hint.__origin__ if get_origin(hint) is Annotated else hint, tuple(_metadata(hint))


def _metadata(hint: Any) -> Iterator[Any]:
    if get_origin(hint) is Annotated:
        yield from hint.__metadata__
        yield from _metadata(hint.__origin__)
    else:
        for inner in get_args(hint):
            yield from _metadata(inner)


def running_keys(kind: type, prefix: str = "") -> tuple[str, ...]:
    """The dotted keys of a configuration that are marked `Running`; of a section that is, only its own key."""
    keys: list[str] = []
    for name, hint, found in marks(kind):
        if Running in found:
            keys.append(f"{prefix}{name}")
        elif isinstance(hint, type) and is_dataclass(hint):
            keys.extend(running_keys(hint, f"{prefix}{name}."))
    return tuple(keys)


def absent_keys(kind: type, prefix: str = "") -> dict[str, Any]:
    """What it means that a dotted key of a configuration is absent, of those that are marked `AbsentMeans`."""
    values: dict[str, Any] = {}
    for name, hint, found in marks(kind):
        values.update({f"{prefix}{name}": mark.value for mark in found if isinstance(mark, AbsentMeans)})
        if isinstance(hint, type) and is_dataclass(hint):
            values.update(absent_keys(hint, f"{prefix}{name}."))
    return values
