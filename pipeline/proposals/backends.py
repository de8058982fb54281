"""Finding a backend by its name, and making it ready for use. Only the named backend's libraries are imported."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.configuration.paths import with_absolute_paths
from pipeline.errors import UserError
from pipeline.proposals.config import ProposalsConfig
from pipeline.proposals.options import KEY, NoOptions, OptionValue, nearest, plain, read_options
from pipeline.proposals.proposer import Proposer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

BACKENDS = {
    "segments": "pipeline.proposals.segments:Segments",
    "ground_truth": "pipeline.proposals.ground_truth:GroundTruth",
    "maskformer": "pipeline.proposals.maskformer.backend:MaskFormer",
    "detectron2": "pipeline.proposals.detectron2.backend:Detectron2",
    "mask2former": "pipeline.proposals.mask2former:Mask2Former",
    "sam2": "pipeline.proposals.sam2:Sam2",
    "sam3": "pipeline.proposals.sam3:Sam3",
    "grounding_dino": "pipeline.proposals.grounding_dino:GroundingDino",
    "owlv2": "pipeline.proposals.owlv2:Owlv2",
    "mined": "pipeline.proposals.mined:Mined",
}
"""Short names. All else that there is to know of a backend stands in its file."""


def load_proposer(config: ProposalsConfig) -> Proposer:
    """The backend that `config` names, ready for use.

    Raises:
        UserError: naming the key or file, for values, files or annotations that cannot be used.
    """
    config.check()
    if not config.backends:
        return _load(config, config.backend, config.options)
    from pipeline.proposals.several import Several  # with it comes OpenCV

    parts = []
    for name, options in config.each():
        with _options_of(name):
            parts.append((name, _load(config, name, options)))
    return Several(config, parts)


def _load(config: ProposalsConfig, name: str, given: dict[str, OptionValue]) -> Proposer:
    found = find_backend(name)
    options = read_options(options_class(found), given, name)
    make: Callable[..., Proposer] = found  # how a class is called is not in a protocol
    return make(config, options) if hasattr(found, "options_class") else make(config)


@contextlib.contextmanager
def _options_of(name: str) -> Iterator[None]:
    """Messages name the keys of a backend where they stand if it is one of several."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(f"{KEY}.", f"{KEY}.{name}.")) from error


def resolve_proposals(config: ProposalsConfig) -> ProposalsConfig:
    """The configuration with all options of its backend: those given, checked, the defaults of the others, and local
    paths made absolute. So they stand in `config.yaml` and in the fingerprint.

    Raises:
        UserError: naming the key of a value that cannot mean anything, or of a URI that contains a secret.
    """
    config.check()
    if not config.backends:
        return replace(config, options=_resolve(config.backend, config.options))
    resolved: dict[str, OptionValue] = {}
    for name, options in config.each():
        with _options_of(name):
            resolved[name] = _resolve(name, options)
    return replace(config, options=resolved)


def _resolve(name: str, given: dict[str, OptionValue]) -> dict[str, OptionValue]:
    options = read_options(options_class(find_backend(name)), given, name)
    return plain(with_absolute_paths(options, KEY))


def find_backend(name: str) -> type[Proposer]:
    """The class of a backend.

    Args:
        name: a short name, or `package.module:Class`.

    Raises:
        UserError: there is no such module, no such class in it, or a module that it needs is not installed.
    """
    module, _, class_name = BACKENDS.get(name, name).partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), class_name)):
        raise UserError(
            f"proposals.backend: {name!r} is not a backend; choose {', '.join(BACKENDS)} or package.module:Class"
        )
    try:
        found = getattr(importlib.import_module(module), class_name, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise UserError(
                f"proposals.backend: {name!r}: the module {module} needs {error.name}, which is not installed here"
            ) from error
        raise UserError(
            f"proposals.backend: {name!r}: there is no module {error.name}; Python looks for it in the folder that "
            "the job starts in and in those of PYTHONPATH"
        ) from None
    if not isinstance(found, type):
        raise UserError(
            f"proposals.backend: {name!r}: the module {module} has no class {class_name}"
            + nearest(class_name, _classes_of(module))
        )
    return found


def _classes_of(module: str) -> list[str]:
    """The names of the classes that a module defines itself."""
    members = vars(importlib.import_module(module)).items()
    return [name for name, member in members if isinstance(member, type) and member.__module__ == module]


def options_class(backend: type[Proposer]) -> "type[DataclassInstance]":
    """The dataclass of a backend's options; that of a backend without has no fields."""
    return getattr(backend, "options_class", NoOptions)


def is_learned(name: str) -> bool:
    """Whether a GPU makes a backend much faster.

    Raises:
        UserError: there is no such backend.
    """
    return getattr(find_backend(name), "learned", False)
