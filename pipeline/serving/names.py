"""Text embeddings of the names that people type."""

from collections import OrderedDict

import torch

from pipeline.clip import Clip, TextEmbedder
from pipeline.clip.template_choice import Templates

_KEPT = 10_000  # 40 MB at 1,024 numbers each


class NameEmbeddings:
    """Embeds names and keeps the last ones used, so that a list of classes that grows by one costs one name.

    `TextEmbedder` keeps every name as long as it lives, which a server cannot.
    """

    def __init__(self, clip: Clip, templates: Templates, kept: int = _KEPT):
        self._clip = clip
        self._templates = templates
        self._kept = kept
        self._known: OrderedDict[str, torch.Tensor] = OrderedDict()

    def __call__(self, names: list[str]) -> torch.Tensor:
        """Embeddings float32 [N,D] of unit length, on the CPU, as `TextEmbedder` returns them."""
        missing = [name for name in dict.fromkeys(names) if name not in self._known]
        if missing:
            embeddings_ND = TextEmbedder(self._clip, self._templates)(missing)
            # Cloned: a row that is kept must not keep the whole matrix.
            self._known.update((name, row_D.clone()) for name, row_D in zip(missing, embeddings_ND, strict=True))
        texts_ND = torch.stack([self._known[name] for name in names])
        for name in names:
            self._known.move_to_end(name)
        while len(self._known) > self._kept:
            self._known.popitem(last=False)
        return texts_ND
