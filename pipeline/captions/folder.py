"""A folder of images, with the captions of NAME.jpg in NAME.txt beside it."""

import posixpath
from collections.abc import Iterator
from itertools import groupby, islice

import pyarrow as pa

from pipeline import storage
from pipeline.captions.caption_lists import captions_in
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.source import root_uri
from pipeline.captions.tar_members import LONGEST_TEXT
from pipeline.captions.text_table import shown
from pipeline.errors import UserError
from pipeline.storage.in_threads import in_threads
from pipeline.storage.patterns import IMAGE_EXTENSIONS, UNREAD_IMAGE_EXTENSIONS, is_hidden
from schemas import LISTING

_IMAGES = (*IMAGE_EXTENSIONS, *UNREAD_IMAGE_EXTENSIONS)
_TEXTS = ("txt", "caption")
_TEXTS_AT_ONCE = 32
_ROWS_PER_BATCH = 4096
_NAMES_SHOWN = 3


class FolderCaptions:
    """Images of a folder and of all folders below it, sorted by name. Every line of NAME.txt (or NAME.caption) that is
    not blank is a caption, or the whole of it where it is a list as text (`["a", "b"]`).

    Problems: `no_text` (an image without NAME.txt, or nothing in it), `no_image` (NAME.txt without an image; its id is
    that name), `bad_text` (not UTF-8, too long, or a list that holds no texts), `listed_twice` (NAME.jpg and NAME.png:
    nobody can tell which one NAME.txt is about; the first in the order of the alphabet is taken).
    """

    def __init__(self, config: CaptionsConfig) -> None:
        for key, given in (("keep", config.keep), ("where", config.where), ("images", config.images)):
            if given:
                raise UserError(f"captions.{key}: is not used with captions.format folder; unset it")
        storage.check_readable(config.path, "captions.path")
        self._folder = root_uri(config.path)
        names = [name for name in storage.list_tree(self._folder) if not is_hidden(name)]
        kinds = {"image": _IMAGES, "text": _TEXTS}
        by_kind = {kind: [name for name in names if _kind(name) in ends] for kind, ends in kinds.items()}
        if not by_kind["image"] or not by_kind["text"]:
            seen = ", ".join(map(shown, names[:_NAMES_SHOWN])) or "nothing"
            raise UserError(
                f"captions.path: {self._folder} holds {len(by_kind['image'])} images and {len(by_kind['text'])} texts "
                f"(it has {seen}, …); looked for are NAME.jpg (or {', '.join(IMAGE_EXTENSIONS[1:])}) with NAME.txt "
                "beside it"
            )
        self._names = sorted(by_kind["image"] + by_kind["text"], key=lambda name: (_stem(name), name))

    @property
    def dropped(self) -> None:
        """None: there is nothing that a condition could look at."""
        return None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the listing, in the order of the class."""
        samples = (list(group) for _, group in groupby(self._names, key=_stem))
        rows = (row for found in in_threads(self._rows_of, samples, _TEXTS_AT_ONCE) for row in found)
        while chunk := list(islice(rows, _ROWS_PER_BATCH)):
            yield pa.RecordBatch.from_pylist(chunk, LISTING)

    def _rows_of(self, names: list[str]) -> list[dict]:
        """The rows of names with one stem."""
        images = [name for name in names if _kind(name) in _IMAGES]
        texts = [name for ending in _TEXTS for name in names if _kind(name) == ending]
        if not images:
            return [self._row(texts[0], [], "no_image")]
        captions, problem = self._captions(texts[0]) if texts else ([], "no_text")
        return [
            self._row(images[0], captions, problem),
            *(self._row(image, [], "listed_twice") for image in images[1:]),
        ]

    def _row(self, name: str, captions: list[str], problem: str | None) -> dict:
        return {
            "image_id": shown(name),
            "image_uri": storage.join(self._folder, shown(name)),
            "captions": captions,
            "problem": problem,
        }

    def _captions(self, name: str) -> tuple[list[str], str | None]:
        try:
            text = storage.read_at_most(storage.join(self._folder, name), LONGEST_TEXT).decode("utf-8-sig")
            listed = captions_in(text)
        except (ValueError, storage.TooManyBytes):
            return [], "bad_text"
        found = text.splitlines() if listed is None else listed
        captions = [caption.strip() for caption in found if caption is not None and caption.strip()]
        return captions, None if captions else "no_text"


def _kind(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _stem(name: str) -> str:
    return posixpath.splitext(name)[0]
