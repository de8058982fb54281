"""Whether `captions.images` is the folder that the images are in, found out before anything else is done."""

import posixpath
from collections.abc import Iterator, Sequence

import pyarrow as pa

from pipeline import storage
from pipeline.captions.config import CaptionsConfig
from pipeline.captions.source import CaptionSource, root_uri
from pipeline.errors import UserError
from pipeline.storage.errors import unusable_names, user_errors
from pipeline.storage.uris import is_zip_member

_KEY = "captions.images"
_LOOKED_FOR = 8


class ImagesLookedFor:
    """A source of captions, of which the first images in `captions.images` are looked for when it is read.

    Not on the web, where servers refuse whom they like.
    """

    def __init__(self, source: CaptionSource, config: CaptionsConfig) -> None:
        self._source = source
        self._root = "" if config.images is None else root_uri(config.images)
        """Empty: images are elsewhere."""
        self._due = bool(self._root) and not self._root.startswith(("http://", "https://"))
        """Still to be done: one of the images is asked for once, however often the source is read."""

    @property
    def dropped(self) -> int | None:
        """See `CaptionSource`."""
        return self._source.dropped

    def batches(self) -> Iterator[pa.RecordBatch]:
        """As `CaptionSource.batches`.

        Raises:
            UserError: also if none of the first images is there (one of them is enough), or no address may be read.
        """
        first: list[str] = []
        refused, others = "", False
        for batch in self._source.batches():
            if not others:
                problems = batch["problem"].to_pylist()
                others = any(problem != "refused_address" for problem in problems)
                refused = refused or next(iter(batch["image_uri"].to_pylist()), "")
            if self._due:
                first += self._addresses(batch)[: _LOOKED_FOR - len(first)]
                if len(first) == _LOOKED_FOR:
                    self._check(first)
            yield batch
        if refused and not others:
            raise UserError(
                f"captions.path: none of the images may be read, such as {refused!r}: names have to stay inside "
                "captions.images, and addresses are local paths, s3, gs, az, hf, http or https"
            )
        if self._due:
            self._check(first)

    def _addresses(self, batch: pa.RecordBatch) -> list[str]:
        """Of the images that are inside `captions.images` and not rejected already."""
        rows = zip(batch["image_uri"].to_pylist(), batch["problem"].to_pylist(), strict=True)
        return [uri for uri, problem in rows if problem is None and self._name(uri) is not None]

    def _check(self, addresses: Sequence[str]) -> None:
        with user_errors(self._root, _KEY):
            if addresses and not any(map(_is_there, addresses)):
                name = self._name(addresses[0]) or ""  # it has one: other addresses are not looked for
                first = "the first image" if len(addresses) == 1 else f"any of the first {len(addresses)} images"
                raise UserError(
                    f"{_KEY}: {self._root} does not hold {first}, such as {name!r} (looked for {addresses[0]})"
                    f"{self._elsewhere(name)}"
                )
        self._due = False

    def _name(self, address: str) -> str | None:
        """What an address is called inside `captions.images`; None if it is elsewhere."""
        before, after = storage.join(self._root, "\0").split("\0")
        if not (address.startswith(before) and address.endswith(after)):
            return None
        return address[len(before) : len(address) - len(after)]

    def _elsewhere(self, name: str) -> str:
        """Where the image is instead, as far as that is easily found."""
        slashed = name.replace("\\", "/")
        base = posixpath.basename(slashed)
        if is_zip_member(self._root):
            archive = self._root.partition("::")[2]
            members = storage.zip_members(archive)
            found = next((member for member in members if f"/{member}".endswith(f"/{name}")), None)
            if found is not None:
                folder = found.removesuffix(name).rstrip("/")
                return f"; the archive has it in {folder!r}: set {_KEY} to zip://{folder}::{archive}"
            found = next((member for member in members if posixpath.basename(member) == base), None)
            more = f"has {found!r}" if found else f"begins with {next(iter(members), 'nothing')!r}"
            return f"; the archive {more}"
        if base != name and _is_there(storage.join(self._root, base)):
            return f"; it has {base!r}: set {_KEY} to the folder in which {posixpath.dirname(slashed)!r} is"
        names = storage.list_names(self._root) if storage.is_local(self._root) else []
        for folder in names[:_LOOKED_FOR]:
            if _is_there(storage.join(self._root, folder, name)):
                return f"; the folder {folder!r} in it has the image: set {_KEY} to {storage.join(self._root, folder)}"
        return f"; it holds {', '.join(map(repr, names[:3]))}, …" if names else ""


def _is_there(address: str) -> bool:
    """Whether `read_image` would find it."""
    try:
        with unusable_names(address):
            return storage.exists(address) or ("\\" in address and storage.exists(address.replace("\\", "/")))
    except FileNotFoundError:
        return False
