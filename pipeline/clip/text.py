"""Text embeddings of nouns under a set of prompt templates."""

from collections import defaultdict
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812

from pipeline.clip.embedding_cache import EmbeddingCache
from pipeline.clip.model import Clip
from pipeline.clip.template_choice import Templates
from pipeline.clip.templates import check_fit, templates_of
from pipeline.clip.text_tower import encode_text, used_lengths

_TEXTS_PER_PASS = 256  # on a GPU
_NOUNS_PER_CALL = 256  # of the tokenizer


class TextEmbedder:
    """Embeds nouns: per template encode and L2-normalise, average over the templates, L2-normalise (OVSeg Sec. 4.1).

    Embeddings are kept per noun, so that asking twice costs nothing. On the CPU each noun is encoded by itself, all its
    prompts cut to the longest of them: the last bits of its embedding then do not depend on which other nouns were
    asked for, so one from an earlier job is as good as a new one. A GPU wants larger batches: there, nouns whose
    prompts are of one length share a pass, and the same nouns in the same order have the same bits.
    """

    def __init__(self, clip: Clip, templates: Templates = "vild", cache: EmbeddingCache | None = None):
        """
        Args:
            templates: a set, or a list of one's own.
            cache: where embeddings of earlier jobs are kept; for a CLIP on the CPU.

        Raises:
            UserError: one of the templates is none, or too long for the CLIP.
        """
        check_fit(clip.tokenizer, templates, "templates")
        self._clip = clip
        self._templates = templates_of(templates)
        self._known: dict[str, torch.Tensor] = {}
        self._cache = cache
        self._per_pass = 1 if clip.device.type == "cpu" else max(1, _TEXTS_PER_PASS // len(self._templates))

    @torch.inference_mode()
    def __call__(self, nouns: list[str]) -> torch.Tensor:
        """Embeddings float32 [N,D] of unit length, on the CPU."""
        missing = [noun for noun in dict.fromkeys(nouns) if noun not in self._known]
        for start in range(0, len(missing), _NOUNS_PER_CALL):
            self._learn(missing[start : start + _NOUNS_PER_CALL])
        if not nouns:
            return torch.empty((0, self._encode([self._tokens(["thing"])[0]]).shape[1]))
        return torch.stack([self._known[noun] for noun in nouns])

    def _learn(self, nouns: list[str]) -> None:
        tokens = dict(zip(nouns, self._tokens(nouns), strict=True))
        missing = []
        for noun in nouns:
            embedding_D = self._cache.get(tokens[noun]) if self._cache else None
            if embedding_D is None:
                missing.append(noun)
            else:
                self._known[noun] = embedding_D
        for group in self._groups({noun: tokens[noun] for noun in missing}):
            embeddings_ND = self._encode([tokens[noun] for noun in group])
            for noun, embedding_D in zip(group, embeddings_ND, strict=True):
                self._known[noun] = embedding_D
                if self._cache:
                    self._cache.put(tokens[noun], embedding_D)

    def _tokens(self, nouns: list[str]) -> list[torch.Tensor]:
        return prompt_tokens(self._clip, nouns, self._templates)

    def _groups(self, tokens: dict[str, torch.Tensor]) -> Iterator[list[str]]:
        """The nouns that share a pass: their prompts are of one length."""
        by_length = defaultdict(list)
        for noun, tokens_TL in tokens.items():
            by_length[tokens_TL.shape[1]].append(noun)
        for nouns in by_length.values():
            for start in range(0, len(nouns), self._per_pass):
                yield nouns[start : start + self._per_pass]

    def _encode(self, tokens: list[torch.Tensor]) -> torch.Tensor:
        """Token ids [T,L] of N nouns → [N,D], on the CPU."""
        with self._clip.autocast():
            features = encode_text(self._clip.model, torch.cat(tokens).to(self._clip.device))
        return noun_embeddings(features, len(self._templates)).cpu()


def prompt_tokens(clip: Clip, nouns: list[str], templates: list[str]) -> list[torch.Tensor]:
    """For each noun the token ids [T,L] of its prompts, cut to the longest of them where the tower allows it."""
    texts = [template.format(noun) for noun in nouns for template in templates]
    tokens_BL = clip.tokenizer(texts)
    lengths = used_lengths(clip.model, tokens_BL)
    count = len(templates)
    return [
        tokens_BL[first : first + count, : max(lengths[first : first + count])] for first in range(0, len(texts), count)
    ]


def noun_embeddings(features_BD: torch.Tensor, templates: int) -> torch.Tensor:
    """Unit-length embeddings float32 [N,D] of N nouns, from the features of all their prompts, noun by noun."""
    features_NTD = F.normalize(features_BD.float(), dim=-1).unflatten(0, (-1, templates))
    return F.normalize(features_NTD.mean(dim=1), dim=-1)
