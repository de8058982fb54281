"""Which names a model can be asked for. The others are told why, never cut short: a piece of a name is another name."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from pipeline.images import ImageProblem


def askable(
    names: Sequence[str], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, most_tokens: int, own_tokens: int
) -> tuple[list[tuple[str, str]], dict[str, ImageProblem]]:
    """The names that a model can be asked for, each once, with the texts that ask, and why it cannot for the others.

    `empty_name`: nothing but white space; `name_too_long`: more tokens than the model takes; `unknown_words`: the
    tokenizer knows none of its words (of one that spells every text from bytes, that is no name's fate).

    Args:
        names: as they are called.
        texts: how the model is asked for each.
        most_tokens: that a text may have, those at its ends included.
        own_tokens: of these, those of an empty name: the ends, and what a text has beside its name.
    """
    found: dict[str, str] = {}
    refused: dict[str, ImageProblem] = {}
    unknown = tokenizer.unk_token_id if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id) else None
    asked = [(name, text) for name, text in dict(zip(names, texts, strict=True)).items() if name.strip()]
    tokens = tokenizer([text for _, text in asked], verbose=False).input_ids if asked else []
    for (name, text), ids in zip(asked, tokens, strict=True):
        if len(ids) > most_tokens:
            refused[name] = ImageProblem("name_too_long", f"{len(ids)} tokens; the model takes {most_tokens}")
        elif unknown is not None and ids.count(unknown) >= len(ids) - own_tokens:
            refused[name] = ImageProblem("unknown_words", "the model's vocabulary has none of its words")
        else:
            found[name] = text
    refused |= {name: ImageProblem("empty_name") for name in names if not name.strip()}
    return list(found.items()), refused
