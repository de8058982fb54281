"""What the `open_clip_config.json` of somebody else's CLIP may say.

open_clip passes what stands in it on to `transformers` and timm, where some of it would run code, ask on the terminal,
or load from another place.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import open_clip

from pipeline.errors import UserError
from pipeline.storage.model_addresses import LOCAL_DIR

CONFIG_FILE = "open_clip_config.json"
_TOKENIZER_OPTIONS = ("additional_special_tokens", "clean", "language", "strip_sep_token")
_NAME = r"[A-Za-z0-9][\w.-]*"
_HUB_NAME = re.compile(rf"{_NAME}(/{_NAME})?", re.ASCII)
_TIMM_NAME = re.compile(_NAME, re.ASCII)


def check_model_config(architecture: str) -> None:
    """Look at the configuration of a `local-dir:` or `hf-hub:` model before open_clip acts on it.

    Raises:
        UserError: naming the file and the key: it is no such configuration, or says what is not allowed.
    """
    if architecture.startswith(LOCAL_DIR):
        path = Path(architecture.removeprefix(LOCAL_DIR)) / CONFIG_FILE
        if not path.is_file():
            return  # open_clip says what is missing
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"clip.architecture: {path} is not JSON: {error}") from error
        where = str(path)
        model_cfg = config.get("model_cfg") if isinstance(config, dict) else None
    else:
        where = f"{CONFIG_FILE} of {architecture}"
        model_cfg = open_clip.get_model_config(architecture)
    for problem in _problems(model_cfg):
        raise UserError(f"clip.architecture: {where}: {problem}")


def uses_hub_tokenizer(model_cfg: dict[str, Any]) -> bool:
    """Whether open_clip takes the tokenizer from `transformers`."""
    return bool(model_cfg["text_cfg"].get("hf_tokenizer_name"))


def _problems(model_cfg: Any) -> Iterator[str]:
    if not isinstance(model_cfg, dict):
        yield "model_cfg is not a JSON object"
        return
    for part in ("vision_cfg", "text_cfg", "multimodal_cfg"):
        cfg = model_cfg.get(part, {})
        if not isinstance(cfg, dict):
            yield f"model_cfg.{part} is not a JSON object"
            return
        for key in ("hf_model_name", "hf_tokenizer_name"):
            name = cfg.get(key)
            if name and not (isinstance(name, str) and (_HUB_NAME.fullmatch(name) or Path(name).is_dir())):
                yield f"model_cfg.{part}.{key} is {name!r}, neither a name on the Hugging Face hub nor a directory here"
        name = cfg.get("timm_model_name")
        if name and not (isinstance(name, str) and _TIMM_NAME.fullmatch(name)):
            yield f"model_cfg.{part}.timm_model_name is {name!r}, which is not the name of a model in timm"
        options = cfg.get("tokenizer_kwargs") or {}
        if not isinstance(options, dict):
            yield f"model_cfg.{part}.tokenizer_kwargs is not a JSON object"
            return
        for key in options.keys() - set(_TOKENIZER_OPTIONS):
            yield (
                f"model_cfg.{part}.tokenizer_kwargs.{key} is not allowed, because such options can run code that comes "
                f"with the model; what may be there: {', '.join(_TOKENIZER_OPTIONS)}"
            )
