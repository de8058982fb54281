"""Which spaCy pipeline tags the captions, and what exactly it is."""

import hashlib
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.util import is_package
from thinc.api import use_ops

from pipeline.errors import UserError

BUNDLED = Path(__file__).with_name("english")
PREFERRED = "en_core_web_sm"

# Nothing here reads syntax or entities, and they take most of the time.
_UNUSED = ("parser", "senter", "ner")


def load_tagger(pipeline: str) -> Language:
    """The pipeline that `NounsConfig.pipeline` names.

    Raises:
        UserError: it is neither installed nor a folder with a spaCy pipeline, or it does not give what is needed.
    """
    if pipeline == "auto":
        pipeline = PREFERRED if is_package(PREFERRED) else "bundled"
    source = str(BUNDLED) if pipeline == "bundled" else pipeline
    try:
        # numpy's BLAS takes less than half the time of the BLIS that thinc otherwise uses.
        with use_ops("numpy", use_blis=False):
            tagger = spacy.load(source, exclude=_UNUSED)
    except (OSError, ValueError) as error:
        raise UserError(
            f"nouns.pipeline is {pipeline!r}: spaCy cannot load it ({error}). Give the name of an installed spaCy "
            'package, the folder of a pipeline, "bundled" or "auto".'
        ) from error
    if not all(token.pos_ and token.lemma_ for token in tagger("A dog sits on the table .")):
        raise UserError(
            f"nouns.pipeline is {pipeline!r}: its components ({', '.join(tagger.pipe_names)}) do not give every word "
            "a part of speech and a lemma. Use a pipeline with a tagger and a lemmatizer."
        )
    return tagger


def identity(tagger: Language) -> dict[str, str]:
    """What tagged the captions: the pipeline's name and version, spaCy's version, and a digest of its files."""
    return {
        "name": f"{tagger.lang}_{tagger.meta['name']}",
        "version": tagger.meta["version"],
        "spacy": spacy.__version__,
        "sha256": digest(tagger.path),
    }


def digest(folder: Path) -> str:
    """SHA-256 over the relative paths and contents of all files below a folder, in sorted order."""
    total = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        if "__pycache__" in file.parts:  # written by the interpreter, different on every machine
            continue
        total.update(file.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()
