"""Python that comes with a model is never run, whatever the model's files or a terminal say.

`transformers` runs the modules that `auto_map` in a model's configuration names if it is told to trust them, and asks
on the terminal where it is told nothing. We tell it no wherever we call it; open_clip calls it without a word, and
passes on what the model's own configuration says.
"""

import os
from typing import Any, NoReturn

from transformers import dynamic_module_utils

TRUST = {"trust_remote_code": False}
"""For every `from_pretrained` of transformers."""


class RemoteCodeError(ValueError):
    """A model wants Python of its own to be run."""


def refuse_remote_code() -> None:
    """From now on this process neither asks whether to run a model's own Python, nor does it, nor what pickles say."""
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0  # seconds to wait for an answer; 0: the question is an error
    # With it torch.load trusts every file wherever a library does not forbid that itself.
    os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
    dynamic_module_utils.get_class_in_module = _refuse  # the one place where such modules are executed


def explained(error: Exception) -> str:
    """What an error says; where transformers advises to trust the model's Python, that this is never done."""
    return "it needs Python of its own, which is never run" if "trust_remote_code" in str(error) else str(error)


def _refuse(class_name: str, module_path: Any, **options: Any) -> NoReturn:
    raise RemoteCodeError(f"it brings Python of its own ({class_name} in {module_path}), which is never run")
