"""How the bundled English pipeline (`pipeline/nouns/english`) and the lexicon of compounds are made.

`__main__` tells the whole story of the tagger, `compounds` that of the lexicon, `evaluate` scores any pipeline.
Nothing here is needed to use them.

The pipeline that ships was made by an earlier form of this recipe, with a second treebank (part of UD_English-GUM) and
a third, perceptron teacher; NOTICE lists its sources. It is the better one: see the README.
"""
