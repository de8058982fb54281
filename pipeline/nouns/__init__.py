"""Nouns of captions, with the place in the caption where each was found."""

from pipeline.nouns.config import NounsConfig
from pipeline.nouns.extractor import NounExtractor
from pipeline.nouns.noun import Noun, union
from pipeline.nouns.text import caption_problem
from pipeline.nouns.vocabulary import select_vocabulary

__all__ = [
    "Noun",
    "NounExtractor",
    "NounsConfig",
    "caption_problem",
    "select_vocabulary",
    "union",
]
