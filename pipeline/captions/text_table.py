"""The rows of CSV and TSV files, read by lines: an odd row costs itself, and none vanishes into another.

CSV is read as RFC 4180 says, with line breaks in quotes. A quotation mark that is never closed would swallow the rows
up to the next one, so a row that goes on over lines is believed only if its quotes are in order, it has as many fields
as the header, and not two of its lines could be rows of their own. If its quotes are not in order, its first line is
read alone, with the marks as text. If it can be read in two ways, all its lines are bad rows.

Lines end in LF, CRLF, or CR CR LF, as Python's csv module makes them on Windows in a file opened without `newline=""`.

TSV has no quoting: a line is a row, whatever quotation marks it holds, and nothing is joined over lines. Only what
pandas and others write nevertheless is undone: fields with doubled quotes or tabs in quotes, and all fields in quotes
where those of the header are.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from pipeline.errors import UserError
from pipeline.storage.patterns import IMAGE_EXTENSIONS

LONGEST_ROW = 16 * 2**20
"""Characters of a row, line breaks in quotes included; longer ones are bad rows and are never in memory as a whole."""

_CHUNK_BYTES = 4 * 2**20
_LINES_OF_A_ROW = 1000

# The line as text without its "\n"; None if it is too long. Bytes that are no UTF-8 are surrogates in it.
_Line = str | None


class Bytes(Protocol):
    """An open file, packed or not."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""


class TextTable:
    """The header and the rows of one open file."""

    def __init__(self, stream: Bytes, delimiter: str | None, names: list[str] | None) -> None:
        """Read the header.

        Args:
            delimiter: None: a tab if the first line holds one, else a comma.
            names: the names of the columns of a file without a header; None: its first line has them.

        Raises:
            UserError: there is nothing, or it is not text in UTF-8; without the name of the file.
        """
        self._lines = enumerate(text_lines(stream), start=1)
        self._waiting: deque[tuple[int, _Line]] = deque()
        first = next((item for item in self._lines if item[1] is None or not _is_blank(item[1])), None)
        if first is None and names is None:
            raise UserError("it is empty")
        number, line = (1, "") if first is None else (first[0], _checked_first_line(first[1]))
        self.delimiter = delimiter or ("\t" if "\t" in line else ",")
        header = line.rstrip("\r").split(self.delimiter)
        self._unquotes_all = self.delimiter == "," or (names is None and all(map(_is_quoted, header)))
        self.has_header = names is None
        if names is None:
            names = [shown(field.strip()) for field in self._header(line)]
        elif first:
            self._waiting.append((number, line))
        self.names = names

    def rows(self, image_at: int) -> Iterator[tuple[int, list[str] | None]]:
        """Of every row the number of its (first) line, from 1, and its fields; None for a bad row.

        A bad row has too many or too few fields, is too long, or cannot be told from its neighbours. Blank lines are
        no rows. Bytes that are no UTF-8 are surrogates in the fields.

        Args:
            image_at: index of the field that names the image, by which rows are known.
        """
        width, delimiter = len(self.names), self.delimiter
        while (item := self._next()) is not None:
            number, line = item
            if line is None:
                yield number, None
            elif '"' not in line:
                fields = line.rstrip("\r").split(delimiter)
                if len(fields) == width:
                    yield number, fields
                elif not _is_blank(line):
                    yield number, None
            else:
                yield from self._quoted_rows(number, line, image_at)

    def _header(self, line: str) -> list[str]:
        fields, quoted = _read_on(line, self.delimiter, [], None)
        return self._literal(line) if fields is None or quoted is not None else fields

    def _quoted_rows(self, number: int, line: str, image_at: int) -> Iterator[tuple[int, list[str] | None]]:
        """The row that begins in this line; or the rows, if they cannot be told apart."""
        width = len(self.names)
        if self.delimiter == "\t" and len(literal := self._literal(line)) == width:
            yield number, literal
            return
        taken: list[tuple[int, _Line]] = [(number, line)]
        fields, quoted = _read_on(line, self.delimiter, [], None)
        size = len(line)
        while fields is not None and quoted is not None:
            more = self._next() if self.delimiter != "\t" else None
            if more is not None:
                taken.append(more)
                size += len(more[1] or "")
            if more is None or more[1] is None or len(taken) > _LINES_OF_A_ROW or size > LONGEST_ROW:
                fields = None
                break
            fields, quoted = _read_on(more[1], self.delimiter, fields, quoted)
        if fields is not None and len(taken) > 1:
            if len(fields) == width and self._rows_of_their_own(taken, fields[image_at], image_at) < 2:
                yield number, fields
                return
            for number, _ in taken:
                yield number, None
            return
        self._waiting.extendleft(reversed(taken[1:]))
        fields = self._literal(line) if fields is None else fields
        yield number, fields if len(fields) == width else None

    def _rows_of_their_own(self, lines: list[tuple[int, _Line]], image: str, image_at: int) -> int:
        """How many of these lines of a CSV could be rows: those with something like this image's name where it belongs.
        (Captions have commas, so the number of fields does not tell.)
        """
        # Counted from both ends: commas that should be in quotes move what follows them.
        from_end = image_at - len(self.names)
        literal = [self._literal(line or "") for _, line in lines]
        return sum(
            any(_are_alike(name, image) for name in (*fields[image_at : image_at + 1], *fields[from_end:][:1]))
            for fields in literal
        )

    def _literal(self, line: str) -> list[str]:
        """The fields between delimiters, whatever quotes say; fields that are wholly in quotes without them."""
        return [
            field[1:-1].replace('""', '"')
            if _is_quoted(field) and (self._unquotes_all or '""' in field[1:-1])
            else field
            for field in line.rstrip("\r").split(self.delimiter)
        ]

    def _next(self) -> tuple[int, _Line] | None:
        return self._waiting.popleft() if self._waiting else next(self._lines, None)


def looks_like_data(names: list[str]) -> bool:
    """Whether what should be the names of columns is rather a row: a file without a header."""
    return any("://" in name or re.search(r"\.\w{3,4}$|^[\d.]+$|\s\S+\s", name) for name in names)


def shown(text: str) -> str:
    """Text with "?" for bytes that are no UTF-8, as it can be printed and stored."""
    return text.encode(errors="replace").decode()


def text_lines(stream: Bytes) -> Iterator[_Line]:
    """The lines of an open file, without their "\n".

    Bytes that are no UTF-8 are surrogates; None stands for a line that is too long.

    Raises:
        UserError: it is no text in UTF-8; without the name of the file.
    """
    rest, skipping, first = b"", False, True
    while chunk := stream.read(_CHUNK_BYTES):
        if first:
            _check_encoding(chunk)
            while chunk.startswith(codecs.BOM_UTF8):  # two, if a file with one was saved with one
                chunk = chunk.removeprefix(codecs.BOM_UTF8)
            first = False
        chunk = rest + chunk
        end = chunk.rfind(b"\n") + 1
        rest = chunk[end:]
        if end:
            lines = iter(chunk[: end - 1].decode(errors="surrogateescape").split("\n"))
            if skipping:
                next(lines)
                yield None
                skipping = False
            yield from lines
        if len(rest) > LONGEST_ROW:
            rest, skipping = b"", True
    if skipping:
        yield None
    elif rest:
        yield rest.decode(errors="surrogateescape")


def _check_encoding(start: bytes) -> None:
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise UserError("it is in UTF-16 or UTF-32; save it as UTF-8")
    if b"\0" in start.partition(b"\n")[0]:
        raise UserError("its first line holds NUL bytes: it is no text in UTF-8 (UTF-16 has to be saved as UTF-8)")


def _checked_first_line(line: _Line) -> str:
    if line is None:
        raise UserError(f"its first line is longer than {LONGEST_ROW} bytes")
    if "\r" in line.rstrip("\r"):
        raise UserError("its lines end in CR alone, as on old Macs; save it with LF or CRLF")
    return line


def _is_blank(line: str) -> bool:
    return not line.strip(" \r")


def _is_quoted(field: str) -> bool:
    return len(field) > 1 and field[0] == field[-1] == '"' and '"' not in field[1:-1].replace('""', "")


def _read_on(
    line: str, delimiter: str, fields: list[str], quoted: list[str] | None
) -> tuple[list[str] | None, list[str] | None]:
    """The fields up to the end of a line, and the text of the field in quotes that goes on in the next (or None).

    The fields are None if the quotes are not in order: something follows a closing quote.

    Args:
        fields: those before this line.
        quoted: the text so far of the field in quotes in which the line begins.
    """
    fields = list(fields)
    at, end = 0, len(line.rstrip("\r"))
    while True:
        if quoted is None and line.startswith('"', at):
            quoted, at = [], at + 1
        if quoted is not None:
            stop = _closing_quote(line, at)
            if stop < 0:
                quoted.append(line[at:].replace('""', '"') + "\n")
                return fields, quoted
            fields.append("".join([*quoted, line[at:stop].replace('""', '"')]))
            quoted, at = None, stop + 1
            if at != end and not line.startswith(delimiter, at):
                return None, None
        else:
            stop = line.find(delimiter, at)
            stop = end if stop < 0 else stop
            fields.append(line[at:stop])
            at = stop
        if at >= end:
            return fields, None
        at += 1


def _closing_quote(line: str, at: int) -> int:
    """Index of the first quotation mark that is not doubled; -1 if there is none."""
    while (at := line.find('"', at)) >= 0 and line.startswith('"', at + 1):
        at += 2
    return at


def _are_alike(name: str, other: str) -> bool:
    """Whether two texts could name images of one table: by their suffix, as URLs, or by where they have digits."""
    if not name or not other:
        return False
    suffixes = [re.findall(r"\.(\w{1,5})(?:$|\?)", text)[-1:] for text in (name, other)]
    if suffixes[0] or suffixes[1]:
        return suffixes[0] == suffixes[1] or all(s and s[0].lower() in IMAGE_EXTENSIONS for s in suffixes)
    if "://" in name or "://" in other:
        return "://" in name and "://" in other
    shapes = [re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", text)) for text in (name, other)]
    return shapes[0] == shapes[1]


def in_batches(rows: Iterator[tuple[int, list[str] | None]], count: int) -> Iterator[list]:
    """Lists of at most `count` rows and of about 32 million characters."""
    while batch := list(islice(_until_large(rows), count)):
        yield batch


def _until_large(rows: Iterator[tuple[int, list[str] | None]]) -> Iterator[tuple[int, list[str] | None]]:
    size = 0
    for row in rows:
        yield row
        size += sum(map(len, row[1] or ()))
        if size > 2 * LONGEST_ROW:
            return
