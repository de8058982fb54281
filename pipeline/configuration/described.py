"""`config.yaml` of an output directory, whichever job wrote it, read without trust."""

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.documents import read_yaml


def read_description(output: str) -> dict:
    """The content of `config.yaml`.

    Raises:
        UserError: it is not there, or nothing that a job of this program wrote.
        OSError: storage cannot be read.
    """
    config = storage.join(output, "config.yaml")
    try:
        description = read_yaml(config)
    except FileNotFoundError:
        raise UserError(f"{output}: no config.yaml, so nothing that this program has made") from None
    if not isinstance(description, dict) or not isinstance(description.get("configuration"), dict):
        raise UserError(f"{config} is not a configuration of this program")
    return description
