"""Fixtures of the tests of nouns."""

import pytest

from pipeline.nouns import NounExtractor


@pytest.fixture(scope="module")
def extractor() -> NounExtractor:
    return NounExtractor("bundled")


@pytest.fixture(scope="module")
def single_words() -> NounExtractor:
    return NounExtractor("bundled", compounds=False)
