"""The lemmas of one caption."""

from pipeline.nouns import NounExtractor


def lemmas(extractor: NounExtractor, caption: str) -> list[str]:
    [nouns] = extractor.extract([caption])
    return [noun.lemma for noun in nouns]
