"""Named lists of nouns to leave out, one file each."""

from pathlib import Path

from pipeline.errors import UserError

_FOLDER = Path(__file__).parent


def resolve_stop_list(entries: list[str]) -> frozenset[str]:
    """The lemmas to leave out, in lower case; "@name" stands for the nouns of the file name.txt in this folder.

    Raises:
        UserError: there is no list of that name.
    """
    lemmas: set[str] = set()
    for entry in entries:
        if not entry.startswith("@"):
            lemmas.add(" ".join(entry.lower().split()))
            continue
        file = _FOLDER / f"{entry[1:]}.txt"
        names = sorted(path.stem for path in _FOLDER.glob("*.txt"))
        if entry[1:] not in names:
            raise UserError(
                f"nouns.stop_list has {entry!r}, but the built-in lists are: "
                f"{', '.join('@' + name for name in names)}. Nouns of your own go in without the @."
            )
        lemmas.update(file.read_text(encoding="utf8").split())
    return frozenset(lemmas)
