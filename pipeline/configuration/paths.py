"""Paths in configurations: made absolute, since workers may run in another directory, and kept free of secrets."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass, replace
from pathlib import Path, PurePath
from typing import Any, TypeVar

from pipeline import storage
from pipeline.configuration.markers import LocalPath, marks
from pipeline.errors import UserError
from pipeline.storage.secrets import has_secret

_LOCAL_DIR = "local-dir:"
_Options = TypeVar("_Options")
_WHERE_SECRETS_BELONG = (
    "give credentials in the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (s3); "
    "GOOGLE_APPLICATION_CREDENTIALS (gs); AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or "
    "AZURE_STORAGE_SAS_TOKEN (az); HF_TOKEN (hf)"
)


def absolute_output(output: str) -> str:
    """The output directory, absolute.

    Raises:
        UserError: it is empty, or relative to the temporary directory of a submitted job, where it would be lost.
    """
    if not output.strip():
        raise UserError("output is empty; give a folder or a URI")
    if not storage.is_absolute(output) and "working_dir_files" in Path.cwd().parts:
        raise UserError(
            f"output: {output!r} is relative to the temporary working directory of the submitted job; "
            "give a URI or an absolute path that all nodes share"
        )
    return storage.absolute(output)


def absolute_model(architecture: str | None, weights: str | None) -> tuple[str | None, str | None]:
    """Architecture and weights of a CLIP, with the local paths among them absolute."""
    if architecture and architecture.startswith(_LOCAL_DIR):
        architecture = _LOCAL_DIR + storage.absolute(architecture.removeprefix(_LOCAL_DIR))
    if weights and os.path.isfile(os.path.expanduser(weights)):
        weights = storage.absolute(weights)
    return architecture, weights


def absolute_fields(options: _Options, key: str) -> _Options:
    """A dataclass with the local paths in its fields marked `LocalPath` absolute.

    Args:
        key: of the dataclass in the configuration, for messages.

    Raises:
        UserError: naming the key of a URI that contains a secret.
    """
    changes = {}
    for name, _, found in marks(type(options)):
        uri = getattr(options, name)
        if uri and any(isinstance(mark, LocalPath) for mark in found):
            refuse_secrets(f"{key}.{name}", uri)
            # What is not there may be the name of a model; with "::" it is a file in an archive.
            if "::" in uri or os.path.exists(os.path.expanduser(uri)):
                changes[name] = storage.absolute(uri)
    return replace(options, **changes)


def refuse_secrets(key: str, uri: str | None) -> None:
    """Raises:
    UserError: naming the key of a URI that contains a password, a signature or a token, which it does not show.
    """
    if uri is not None and has_secret(uri):
        raise UserError(f"{key} contains a secret, which would end up in config.yaml and logs; {_WHERE_SECRETS_BELONG}")


def refuse_secrets_in(configuration: Any, key: str = "") -> None:
    """Ask every text in a configuration (dataclasses, dictionaries, lists) for secrets.

    Raises:
        UserError: naming the dotted key of the first that contains one.
    """
    if isinstance(configuration, str | PurePath):
        refuse_secrets(key, str(configuration))
    elif is_dataclass(configuration):
        for field in fields(configuration):
            refuse_secrets_in(getattr(configuration, field.name), f"{key}.{field.name}" if key else field.name)
    elif isinstance(configuration, Mapping):
        for name, value in configuration.items():
            refuse_secrets_in(value, f"{key}.{name}" if key else str(name))
    elif isinstance(configuration, Sequence | Set) and not isinstance(configuration, bytes):
        for place, value in enumerate(configuration):
            refuse_secrets_in(value, f"{key}[{place}]")
