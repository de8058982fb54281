"""Text embeddings of earlier jobs, in the user's cache folder. It may be deleted at any time."""

import contextlib
import hashlib
import json
import logging
import os
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Self

import numpy as np
import torch

from pipeline.clip.model import Clip
from pipeline.errors import UserError
from pipeline.storage.own_folder import CACHE_KEY, own_folder, user_cache

_DIGEST = 32  # bytes of a SHA-256
# Whatever computes an embedding: when it is edited, no earlier embedding is found any more.
_CODE = ("embedding_cache.py", "text.py", "text_tower.py")


class EmbeddingCache:
    """Embeddings by the token ids of their prompts, one small file each.

    A folder holds the embeddings of one text tower on one kind of CPU. Any number of processes may share it: a file is
    put in its place whole, those who write the same one write the same bytes, and one that is damaged counts as absent.
    Mask-adapted CLIPs share the text tower of the CLIP that they were adapted from, and its embeddings.
    """

    def __init__(self, folder: Path):
        """`folder`: made, for this user alone, if it is not there.

        Raises:
            UserError: it cannot be made, or it is not this user's alone.
        """
        self._folder = own_folder(folder, CACHE_KEY)

    @classmethod
    def of(cls, clip: Clip) -> Self | None:
        """The cache for this CLIP's text tower in this process; None, and a line in the log, if there can be none.

        On a GPU there is none: nouns share passes there, so that the last bits depend on which are embedded together.
        """
        if clip.device.type != "cpu":
            return None
        try:
            return cls(user_cache("text-embeddings") / _identity(clip))
        except UserError as error:
            logging.getLogger(__name__).warning("text embeddings are not kept for later jobs: %s", error)
            return None

    def get(self, tokens_TL: torch.Tensor) -> torch.Tensor | None:
        """The embedding float32 [D] for the token ids of a noun's prompts, if it is known."""
        name = _name(tokens_TL)
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            return None
        digest, numbers = content[:_DIGEST], content[_DIGEST:]
        if not numbers or digest != _digest(name, numbers):
            return None
        return torch.from_numpy(np.frombuffer(numbers, "<f4").astype(np.float32))

    def put(self, tokens_TL: torch.Tensor, embedding_D: torch.Tensor) -> None:
        """Keep an embedding. A disk that is full, or gone, is no reason to stop: it is computed again then."""
        name = _name(tokens_TL)
        numbers = embedding_D.numpy().astype("<f4").tobytes()
        part = None
        try:
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".", delete=False) as file:
                part = file.name
                file.write(_digest(name, numbers) + numbers)
            os.replace(part, self._folder / name)
        except OSError:
            if part:
                with contextlib.suppress(OSError):
                    os.unlink(part)


def _name(tokens_TL: torch.Tensor) -> str:
    return hashlib.sha256(f"{tokens_TL.tolist()}".encode()).hexdigest()


def _digest(name: str, numbers: bytes) -> bytes:
    return hashlib.sha256(name.encode() + numbers).digest()


def _identity(clip: Clip) -> str:
    """Whatever decides an embedding beside the token ids, to its last bit."""
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update(Path(__file__).with_name(name).read_bytes())
    settings = {
        "model": {key: value for key, value in clip.model_cfg.items() if key != "vision_cfg"},
        "precision": str(clip.autocast_dtype),
        "threads": torch.get_num_threads(),
        "cpu": [platform.machine(), torch.backends.cpu.get_cpu_capability(), _cpu_model()],
        "versions": [version("torch"), version("open_clip_torch")],
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    digest.update(clip.text_weights_sha256().encode())
    return digest.hexdigest()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())
