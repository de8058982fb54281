"""Samples of a WebDataset tar: the members that follow one another and have one key."""

import json
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline import storage
from pipeline.captions.caption_lists import captions_in
from pipeline.captions.tar_members import LONGEST_TEXT, Member, address, shown, whole_members
from pipeline.storage.patterns import IMAGE_EXTENSIONS, UNREAD_IMAGE_EXTENSIONS

_IMAGES = (*IMAGE_EXTENSIONS, *UNREAD_IMAGE_EXTENSIONS)
# KEY.image.jpg is the picture, KEY.seg.png is not.
_PICTURE_NAMES = ("image", "img", "rgb", "photo", "picture")
_TEXTS_OF_A_SAMPLE = 16 * LONGEST_TEXT
_PARTS_OF_A_SAMPLE = 10_000
_NAMES_OF_A_SAMPLE = 8


@dataclass
class TarSample:
    """Consecutive members of a tar with one key, in their order."""

    key: str
    parts: list[tuple[str, Member]] = field(default_factory=list)
    """Extension (what follows the first dot of the name, in small letters) and member, of images and texts."""
    names: list[str] = field(default_factory=list)
    """Of the first members, whatever they are."""

    @property
    def images(self) -> list[tuple[str, Member]]:
        """The parts that are images by their name, pictures or not."""
        return [(extension, member) for extension, member in self.parts if _is_image(extension)]


def samples_of(tar: str, caption: str) -> Iterator[TarSample | None]:
    """The samples of one tar, in their order; None at the end if the tar is damaged.

    Where names of a run are repeated, each repetition is a sample of its own, if all of them have the same parts in the
    same order; else nobody can tell what belongs together, and every image is alone, in a sample without a caption
    that `rows_of` rejects.

    Args:
        caption: `captions.caption_column`.

    Raises:
        OSError: storage is broken or unreachable.
    """
    texts = {*text_extensions(caption), "json"}

    def wanted(name: str, size: int) -> bool:
        return key_and_extension(name)[1] in texts and size <= LONGEST_TEXT

    run: TarSample | None = None
    size = 0
    # Headers, captions and the ends of images are read in order: blocks ahead, not many requests.
    with storage.open_input(tar, read_ahead=True) as file:
        for member in whole_members(file, wanted):
            if member is None:
                yield from _divided(run)
                yield None
                return
            key, extension = key_and_extension(member.name)
            if run is None or key != run.key or len(run.parts) == _PARTS_OF_A_SAMPLE:
                yield from _divided(run)
                run, size = TarSample(key), 0
            size += len(member.data or b"")
            if size > _TEXTS_OF_A_SAMPLE:
                member = Member(member.name, member.offset, member.size, None)
            if extension in texts or _is_image(extension):
                run.parts.append((extension, member))
            if len(run.names) < _NAMES_OF_A_SAMPLE:
                run.names.append(member.name)
    yield from _divided(run)


def rows_of(sample: TarSample, tar: str, caption: str) -> Iterator[dict]:
    """Listing rows (without null fields) of a sample: one, or where its picture is unclear one for each image."""
    captions, width, height, problem = _captions(sample, caption)
    row = {"image_id": shown(sample.key), "captions": captions, "width": width, "height": height}
    if not sample.images:
        yield row | {"image_uri": tar, "problem": "no_image"}
        return
    picture = _picture(sample)
    if picture is None or has_repeated_names(sample):
        reason = "listed_twice" if has_repeated_names(sample) else "unclear_name"
        for _, member in sample.images:
            yield row | {"image_uri": address(member.name, tar), "captions": [], "problem": reason}
        return
    row["image_uri"] = address(picture.name, tar)
    if picture.offset is None:
        yield row | {"problem": "no_plain_file"}
        return
    yield row | {"byte_offset": picture.offset, "byte_length": picture.size, "problem": problem}


def key_and_extension(name: str) -> tuple[str, str]:
    """("a/b", "seg.png") for a/b.seg.png: the first dot of the name, as WebDataset cuts it."""
    folder, base = posixpath.split(name.removeprefix("./"))
    stem, _, extension = base.partition(".")
    return posixpath.join(folder, stem), extension.lower()


def text_extensions(caption: str) -> Sequence[str]:
    """Extensions of members whose content is the caption, the first that is there counts."""
    caption = caption.lower()
    return ("txt", "caption", "caption.txt") if caption == "caption" else (caption, f"{caption}.txt")


def has_repeated_names(sample: TarSample) -> bool:
    """Whether two parts have one extension: then nobody can tell what belongs together."""
    return len({extension for extension, _ in sample.parts}) < len(sample.parts)


def description_of(sample: TarSample) -> Any:
    """The content of KEY.json; {} if there is none, None if it is no JSON or too long."""
    part = next((member for extension, member in sample.parts if extension == "json"), None)
    if part is None:
        return {}
    try:
        return json.loads(part.data or b"")
    except (ValueError, RecursionError):
        return None


def _divided(run: TarSample | None) -> Iterator[TarSample]:
    if run is None:
        return
    if not has_repeated_names(run):
        yield run
        return
    first = [extension for extension, _ in run.parts]
    length = next(index for index in range(1, len(first)) if first[index] in first[:index])
    if first == first[:length] * (len(first) // length):
        for start in range(0, len(first), length):
            yield TarSample(run.key, run.parts[start : start + length])
    else:
        yield run


def _is_image(extension: str) -> bool:
    return extension.rpartition(".")[2] in _IMAGES


def _picture(sample: TarSample) -> Member | None:
    """KEY.jpg, the first if there are more; or else KEY.image.jpg."""
    for names in (_IMAGES, [f"{name}.{kind}" for name in _PICTURE_NAMES for kind in _IMAGES]):
        found = next((member for extension, member in sample.parts if extension in names), None)
        if found is not None:
            return found
    return None


def _captions(sample: TarSample, caption: str) -> tuple[list[str], int | None, int | None, str | None]:
    """Captions, width and height in pixels, and what is wrong with the texts of a sample."""
    description, problem = description_of(sample), None
    if not isinstance(description, dict):
        description, problem = {}, "bad_text"
    width, height = (_pixels(description.get(name)) for name in ("width", "height"))
    for wanted in text_extensions(caption):
        text = next((member for extension, member in sample.parts if extension == wanted), None)
        if text is not None:
            try:
                return _listed((b"\xff" if text.data is None else text.data).decode()), width, height, None
            except ValueError:
                return [], width, height, "bad_text"
    found = description.get(caption)
    texts = found if isinstance(found, list) else [found]
    whole = [text.encode(errors="replace").decode() for text in texts if isinstance(text, str)]
    try:
        captions = whole if isinstance(found, list) else [one for text in whole for one in _listed(text)]
    except ValueError:
        return [], width, height, "bad_text"
    return captions, width, height, None if captions else problem or "no_text"


def _listed(text: str) -> list[str]:
    captions = captions_in(text)
    return [text] if captions is None else [caption for caption in captions if caption is not None]


def _pixels(value: Any) -> int | None:
    return value if type(value) is int and 0 < value < 2**31 else None
