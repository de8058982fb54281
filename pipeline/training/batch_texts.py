"""Texts of a step, embedded in it by a text tower that trains.

Each rank embeds its share of all distinct texts of the step, with all templates, and all get all: the embeddings are
those that a frozen tower with the same weights would have, and gradients of every rank's loss reach every share.

Shape suffixes: B regions of this rank, H hard negatives of a region, U distinct texts of the step, T templates,
L tokens, D embedding width.
"""

import torch
import torch.distributed as dist
import torch.distributed.nn

from pipeline.clip import Clip
from pipeline.clip.template_choice import Templates
from pipeline.clip.templates import templates_of
from pipeline.clip.text import noun_embeddings, prompt_tokens
from pipeline.clip.text_tower import text_encoder
from pipeline.errors import UserError
from pipeline.training.config import TrainConfig
from pipeline.training.moved import is_of_text
from pipeline.training.ranks import Ranks

MOST_CLASSES = 8192
"""Prompts that a step may embed of all nouns of a dataset, for `loss.kind: classification`."""


class BatchTexts:
    """Embeds the texts that the regions of a step are compared with.

    Attributes:
        parameters: those of the text tower that are trained.
    """

    def __init__(
        self, clip: Clip, texts: list[str], nouns: int, templates: Templates, *, all_nouns: bool, ranks: Ranks
    ):
        """
        Args:
            texts: of the run: the nouns, then those that are hard negatives alone.
            nouns: how many of them are nouns.
            all_nouns: embed all nouns in every step, not those of the batch alone.
        """
        self._clip, self._texts, self._nouns, self._ranks = clip, texts, nouns, ranks
        self._templates = templates_of(templates)
        self._encode = text_encoder(clip.model)
        self._all_nouns = all_nouns
        self._tokens: dict[int, torch.Tensor] = {}
        self.parameters = [
            parameter
            for name, parameter in clip.model.named_parameters()
            if parameter.requires_grad and is_of_text(name)
        ]

    def __call__(
        self, nouns_B: torch.Tensor, negatives_BH: torch.Tensor | None
    ) -> tuple[tuple[torch.Tensor, torch.Tensor], torch.Tensor, torch.Tensor | None]:
        """Embed the texts of a step; every rank calls it.

        Args:
            nouns_B: int64, on the CPU: index into the texts of the run.
            negatives_BH: the same of hard negatives; -1 where a region has fewer. None: none.

        Returns:
            unit-length embeddings of what is compared as nouns and of all texts, in the order of the run, with
            gradients; nouns and hard negatives as rows of them, on the CLIP's device.
        """
        used = [nouns_B.flatten()] if negatives_BH is None else [nouns_B.flatten(), negatives_BH.flatten()]
        if self._all_nouns:
            used.append(torch.arange(self._nouns))
        wanted_U = self._of_all_ranks(torch.cat(used).unique())
        wanted_U = wanted_U[wanted_U >= 0]
        texts_UD = self._embed(wanted_U.tolist())
        nouns_UD = texts_UD[: self._nouns] if self._all_nouns else texts_UD
        device = self._clip.device
        rows_BH = None
        if negatives_BH is not None:
            there_BH = negatives_BH >= 0
            rows_BH = torch.searchsorted(wanted_U, negatives_BH.clamp(min=0)).where(there_BH, -1).to(device)
        return (nouns_UD, texts_UD), torch.searchsorted(wanted_U, nouns_B).to(device), rows_BH

    def _of_all_ranks(self, wanted: torch.Tensor) -> torch.Tensor:
        if self._ranks.world_size == 1:
            return wanted
        gathered: list[list[int]] = [[]] * self._ranks.world_size
        dist.all_gather_object(gathered, wanted.tolist())
        return torch.tensor(sorted(set().union(*gathered)), dtype=torch.int64)

    def _embed(self, texts: list[int]) -> torch.Tensor:
        """Embeddings [U,D] of texts of the run."""
        ranks = self._ranks
        share = texts[ranks.rank :: ranks.world_size]
        if ranks.world_size == 1:
            return self._embed_share(share)
        size = -(-len(texts) // ranks.world_size)
        padded_SD = self._embed_share(share + texts[:1] * (size - len(share)))  # all shares of one size
        shares_WSD = torch.stack(tuple(torch.distributed.nn.all_gather(padded_SD)))
        return shares_WSD.transpose(0, 1).flatten(0, 1)[: len(texts)]

    def _embed_share(self, texts: list[int]) -> torch.Tensor:
        self._learn([text for text in dict.fromkeys(texts) if text not in self._tokens])
        tokens = [self._tokens[text] for text in texts]
        length = max(tokens_TL.shape[1] for tokens_TL in tokens)
        padded = [torch.nn.functional.pad(tokens_TL, (0, length - tokens_TL.shape[1])) for tokens_TL in tokens]
        tokens_BL = torch.cat(padded).to(self._clip.device, non_blocking=True)
        with self._clip.autocast():
            features_BD = self._encode(tokens_BL)
        return noun_embeddings(features_BD, len(self._templates))

    def _learn(self, texts: list[int]) -> None:
        """Find the tokens of texts; an epoch asks for each of them again and again."""
        if texts:
            names = [self._texts[text] for text in texts]
            self._tokens.update(zip(texts, prompt_tokens(self._clip, names, self._templates), strict=True))


def check_texts(config: TrainConfig, nouns: int) -> None:
    """Check that a step can embed what the loss compares regions with.

    Raises:
        UserError: the text tower trains, and the loss is over too many nouns.
    """
    if config.text.parameters == "frozen" or config.loss.kind != "classification":
        return
    prompts = nouns * len(templates_of(config.model.templates, "model.templates"))
    if prompts > MOST_CLASSES:
        raise UserError(
            f"loss.kind classification compares regions with all {nouns} nouns of the dataset, and with "
            f"text.parameters {config.text.parameters} each step embeds them anew, which would be {prompts} prompts: "
            "set loss.kind to multi_positive, which takes the nouns of the batch, or come to "
            f"{MOST_CLASSES} at most with model.templates photo or with data.where"
        )
