"""Named lists of words to leave out, one file each."""

from pathlib import Path

from pipeline.errors import UserError

_FOLDER = Path(__file__).parent


def resolve_stop_list(entries: list[str], key: str = "nouns.stop_list") -> frozenset[str]:
    """The words to leave out, in lower case; "@name" stands for those of the file name.txt in this folder.

    key: the configuration key that holds them.

    Raises:
        UserError: there is no list of that name.
    """
    words: set[str] = set()
    for entry in entries:
        if not entry.startswith("@"):
            words.add(" ".join(entry.lower().split()))
            continue
        file = _FOLDER / f"{entry[1:]}.txt"
        names = sorted(path.stem for path in _FOLDER.glob("*.txt"))
        if entry[1:] not in names:
            raise UserError(
                f"{key} has {entry!r}, but the built-in lists are: "
                f"{', '.join('@' + name for name in names)}. Words of your own go in without the @."
            )
        words.update(file.read_text(encoding="utf8").split())
    return frozenset(words)
