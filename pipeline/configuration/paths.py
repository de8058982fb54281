"""Paths in configurations: made absolute, since workers may run in another directory, and kept free of secrets."""

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from pipeline import storage
from pipeline.configuration.markers import LocalPath, ReadOnce, marks
from pipeline.errors import UserError
from pipeline.storage.model_addresses import LOCAL_DIR
from pipeline.storage.secrets import has_secret

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Config = TypeVar("_Config", bound="DataclassInstance")

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


def with_absolute_paths(config: _Config, prefix: str = "") -> _Config:
    """A configuration with its local paths absolute: workers may run in another directory than this process.

    Args:
        config: a dataclass; the fields that are marked `LocalPath` are made absolute, in all of its sections, and the
            content of files takes the place of fields that are marked `ReadOnce`.
        prefix: the key of this configuration in a larger one.

    Raises:
        UserError: naming the key of a path that contains a secret or stands for nobody's home, or of an output that
            is empty or would be lost; or what is to be read once cannot be used.
    """
    changes: dict[str, Any] = {}
    for name, _, found in marks(type(config)):
        key, value = f"{prefix}.{name}" if prefix else name, getattr(config, name)
        if is_dataclass(value) and not isinstance(value, type):
            changes[name] = with_absolute_paths(value, key)
        elif isinstance(value, list) and any(map(is_dataclass, value)):
            changes[name] = [with_absolute_paths(item, f"{key}[{index}]") for index, item in enumerate(value)]
        for mark in found:
            if isinstance(mark, LocalPath) and value is not None:
                refuse_secrets_in(value, key)
                each = _ABSOLUTE[mark]
                changes[name] = [each(item) for item in value] if isinstance(value, list) else each(value)
            elif isinstance(mark, ReadOnce):
                refuse_secrets_in(value, key)
                changes[name] = mark.read(value, key)
    return replace(config, **changes)


def _model(name: str) -> str:
    return LOCAL_DIR + storage.absolute(name.removeprefix(LOCAL_DIR)) if name.startswith(LOCAL_DIR) else name


def _file_or_name(uri: str) -> str:
    return storage.absolute(uri) if os.path.isfile(os.path.expanduser(uri)) else uri


def _path_or_name(uri: str) -> str:
    # With "::" it is a file in an archive.
    return storage.absolute(uri) if "::" in uri or os.path.exists(os.path.expanduser(uri)) else uri


_ABSOLUTE = {
    LocalPath.ANY: storage.absolute,
    LocalPath.OUTPUT: absolute_output,
    LocalPath.PATH_OR_NAME: _path_or_name,
    LocalPath.FILE_OR_NAME: _file_or_name,
    LocalPath.LOCAL_DIR: _model,
}


def refuse_secrets(key: str, uri: str | None) -> None:
    """Check that a URI contains no password, signature or token.

    Raises:
        UserError: it does; naming the key, and not showing the secret.
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
        for index, value in enumerate(configuration):
            refuse_secrets_in(value, f"{key}[{index}]")
