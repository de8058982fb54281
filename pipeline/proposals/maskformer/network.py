"""MaskFormer, put together from the modules that `transformers` has for it.

Shape suffixes: B images, Q queries, C channels of the mask features, E width of the queries, D of CLIP's embeddings,
N texts, X class outputs, H×W the padded image, h×w the mask features (a quarter of it).
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

_TEMPERATURE = 100.0


class MaskFormerNetwork(nn.Module):
    """Pixels → the mask logits and the class output of every query.

    The class output is what tells the two kinds of head apart: class logits, the last of them "no object"
    (MaskFormer), or embeddings to compare with those of any texts (OVSeg).

    Attributes:
        embedding_width: D, if the head is open to any texts; None if its classes are fixed.
        non_object_embedding: float [1,D], learned, what "no object" is compared with; None for fixed classes.
    """

    non_object_embedding: nn.Parameter | None

    def __init__(
        self,
        backbone: nn.Module,
        pixel_decoder: nn.Module,
        transformer: nn.Module,
        mask_embedder: nn.Module,
        class_head: nn.Module,
        embedding_width: int | None,
    ):
        """
        Args:
            backbone: returns `feature_maps`, the finest first.
            pixel_decoder: feature maps → mask features.
            transformer: the coarsest feature map → queries.
            mask_embedder: queries [B,Q,E] → [B,Q,C].
            class_head: queries [B,Q,E] → [B,Q,X].
        """
        super().__init__()
        self.backbone = backbone
        self.pixel_decoder = pixel_decoder
        self.transformer = transformer
        self.mask_embedder = mask_embedder
        self.class_head = class_head
        self.embedding_width = embedding_width
        non_object = None if embedding_width is None else nn.Parameter(torch.zeros(1, embedding_width))
        self.register_parameter("non_object_embedding", non_object)

    def forward(self, pixels_B3HW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits [B,Q,h,w] and class output [B,Q,X], both float32.

        Args:
            pixels_B3HW: float, normalised; sides divisible by 32.
        """
        features = self.backbone(pixels_B3HW).feature_maps
        features_BChw = self.pixel_decoder(features).last_hidden_state
        queries_BQE = self.transformer(features[-1]).last_hidden_state
        masks_BQhw = torch.einsum("bqc,bchw->bqhw", self.mask_embedder(queries_BQE), features_BChw)
        return masks_BQhw.float(), self.class_head(queries_BQE).float()

    def class_logits(self, embeddings_BQD: torch.Tensor, texts_ND: torch.Tensor) -> torch.Tensor:
        """100 · cosine of each embedding with the texts and with "no object", float32 [B,Q,N+1] (OVSeg Sec. 3.1).

        Args:
            embeddings_BQD: the class output of an open-vocabulary head.
            texts_ND: of unit length.
        """
        assert self.non_object_embedding is not None  # the head is an open-vocabulary one
        classes_XD = torch.cat([texts_ND, F.normalize(self.non_object_embedding, dim=-1)])
        return _TEMPERATURE * F.normalize(embeddings_BQD, dim=-1) @ classes_XD.T
