"""CLIP: loading, text embeddings, encoding of masked regions."""

from pipeline.clip.loading import Clip, ClipConfig, load_clip
from pipeline.clip.region_encoder import RegionEncoder
from pipeline.clip.text import TextEmbedder

__all__ = ["Clip", "ClipConfig", "RegionEncoder", "TextEmbedder", "load_clip"]
