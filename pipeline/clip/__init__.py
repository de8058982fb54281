"""CLIP: loading, mask prompts, text embeddings, encoding of masked regions, saving."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.clip.checkpoint_layouts import export_clip
    from pipeline.clip.config import ClipConfig
    from pipeline.clip.embedding_cache import EmbeddingCache
    from pipeline.clip.loading import load_clip
    from pipeline.clip.mask_prompts import MaskPromptedVision
    from pipeline.clip.model import Clip
    from pipeline.clip.region_encoder import RegionEncoder
    from pipeline.clip.saving import save_clip
    from pipeline.clip.text import TextEmbedder

__all__ = [
    "Clip",
    "ClipConfig",
    "EmbeddingCache",
    "MaskPromptedVision",
    "RegionEncoder",
    "TextEmbedder",
    "export_clip",
    "load_clip",
    "save_clip",
]

__getattr__ = lazy_imports(__name__)
