"""Nouns of captions, with the position in the caption where each was found."""

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazy_imports

if TYPE_CHECKING:
    from pipeline.nouns.config import NounsConfig
    from pipeline.nouns.extractor import NounExtractor
    from pipeline.nouns.noun import Noun, Phrase, union
    from pipeline.nouns.selection import select_vocabulary
    from pipeline.nouns.text import caption_problem

__all__ = [
    "Noun",
    "NounExtractor",
    "NounsConfig",
    "Phrase",
    "caption_problem",
    "select_vocabulary",
    "union",
]

__getattr__ = lazy_imports(__name__)
