"""Text embeddings of nouns under a set of prompt templates."""

import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.model import Clip
from pipeline.clip.templates import TEMPLATES, TemplateSet

_TEXTS_PER_PASS = 256


class TextEmbedder:
    """Embeds nouns: per template encode and L2-normalise, average over the templates, L2-normalise (OVSeg Sec. 4.1).

    Embeddings are kept per noun, so that asking twice costs nothing.
    """

    def __init__(self, clip: Clip, templates: TemplateSet = "vild"):
        self._clip = clip
        self._templates = TEMPLATES[templates]
        self._cache: dict[str, torch.Tensor] = {}

    @torch.inference_mode()
    def __call__(self, nouns: list[str]) -> torch.Tensor:
        """Embeddings float32 [N,D] of unit length, on the CPU."""
        missing = [noun for noun in dict.fromkeys(nouns) if noun not in self._cache]
        per_pass = max(1, _TEXTS_PER_PASS // len(self._templates))
        for start in range(0, len(missing), per_pass):
            chunk = missing[start : start + per_pass]
            self._cache.update(zip(chunk, self._embed(chunk).cpu(), strict=True))
        if not nouns:
            return torch.empty((0, self._embed(["thing"]).shape[1]))
        return torch.stack([self._cache[noun] for noun in nouns])

    def _embed(self, nouns: list[str]) -> torch.Tensor:
        texts = [template.format(noun) for noun in nouns for template in self._templates]
        tokens = self._clip.tokenizer(texts).to(self._clip.device)
        with self._clip.autocast():
            features = self._clip.text(tokens)
        features_NTD = F.normalize(features.float(), dim=-1).unflatten(0, (len(nouns), len(self._templates)))
        return F.normalize(features_NTD.mean(dim=1), dim=-1)
