"""An adapted CLIP on the Hugging Face hub, where open_clip finds it as `hf-hub:ORG/NAME`."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pipeline import storage
from pipeline.errors import UserError
from pipeline.storage.hub_repository import HubRepository, hub_address
from pipeline.training.run_directory import RunDirectory

_CONFIG, _CARD = "open_clip_config.json", "README.md"
# Configurations, weights, vocabularies and templates of tokenizers, and what is to be read by people.
_SUFFIXES = (".json", ".safetensors", ".bin", ".txt", ".model", ".jinja", ".md")
_FOLDER_IN_CARD = "local-dir:path/to/this/directory"


@dataclass(frozen=True)
class Published:
    """What was uploaded."""

    page: str
    private: bool
    load: str
    """How open_clip calls it."""
    files: list[str]
    left_out: list[str]
    """Files beside the model that are no part of one."""


def publish_model(model: str, to: str, private: bool | None = None) -> Published:
    """Upload a CLIP with its card; files that the hub has already are not sent again.

    Args:
        model: a training run that is complete, or a directory as open_clip's `local-dir:` has it; any fsspec URI.
        to: hf://ORG/NAME[@BRANCH].
        private: whether the repository is to be private. None: if it has to be made; one that is there stays what it
            is.

    Raises:
        UserError: there is no model, the address is none for it, or the hub refuses it.
        OSError: storage cannot be read, or the hub does not answer.
    """
    address = hub_address(to, "model", "--to")
    folder = _model_folder(model)
    names = storage.list_names(folder)
    files = [name for name in names if name.endswith(_SUFFIXES) or name.startswith("LICENSE")]
    load = f"hf-hub:{address.repository}" + ("" if address.branch == "main" else f"@{address.branch}")
    repository = HubRepository(address, "--to", private)
    with tempfile.TemporaryDirectory() as local:
        content: dict[str, Path | bytes] = {}
        for name in files:
            uri = storage.join(folder, name)
            if name == _CARD:
                content[name] = storage.read_bytes(uri).replace(_FOLDER_IN_CARD.encode(), load.encode())
            elif storage.is_local(uri):
                content[name] = Path(storage.filesystem(uri)[1])
            else:
                content[name] = Path(local) / name
                storage.download(uri, Path(local) / name)
        repository.commit(content, "Mask-adapted CLIP of ovseg-pipeline")
    return Published(repository.page, repository.private, load, files, sorted(set(names) - set(files)))


def _model_folder(model: str) -> str:
    storage.check_readable(model, "model")
    for folder in (model, RunDirectory(model).model):
        if storage.exists(storage.join(folder, _CONFIG)):
            return folder
    raise UserError(
        f"model: {model} is no complete training run, and holds no {_CONFIG}; give the output of a jobs.train that has "
        "ended, or a directory with a CLIP of open_clip"
    )
