"""From the bytes of a COCO Captions file, or one of Karpathy's, to its lists of records."""

import gzip
import json
import zlib
from typing import Any

from pipeline import storage
from pipeline.errors import UserError

_LISTS = ("images", "annotations")
# Python refuses to read longer whole numbers, since that takes time with the square of their length.
_MOST_DIGITS = 4000


def load_records(path: str) -> tuple[list, list]:
    """The records under "images" and under "annotations", which may be anything.

    Raises:
        UserError: the file is not JSON, or not built like COCO Captions.
        OSError: as `storage.read_bytes`.
    """
    document = load_object(path)
    missing = [key for key in _LISTS if not isinstance(document.get(key), list)]
    if missing:
        hint = "; set captions.format karpathy" if _is_karpathys(document) else ""
        raise malformed(
            path,
            f"has no list {' and no list '.join(map(repr, missing))} at its top level "
            f"(found: {', '.join(list(document)[:8]) or 'nothing'}){hint}",
        )
    return document["images"], document["annotations"]


def load_object(path: str) -> dict[str, Any]:
    """The JSON object that a file holds, packed or not.

    Raises:
        UserError: the file is not JSON, or holds no object.
        OSError: as `storage.read_bytes`.
    """
    try:
        document = _parsed(storage.read_bytes(path))
    except json.JSONDecodeError as error:
        raise malformed(path, f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    except UnicodeDecodeError as error:
        raise malformed(path, f"not UTF-8 text: {error.reason} at byte {error.start}") from error
    except (OSError, EOFError, zlib.error) as error:
        # gzip's own OSError is about the content; storage's is not.
        if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
            raise
        raise malformed(path, f"not a whole gzip file: {error}") from error
    except RecursionError as error:
        raise malformed(path, "not COCO Captions: it is nested too deeply") from error
    except _KeyTwiceError as error:
        raise malformed(path, f"not COCO Captions: it has {error} twice") from error
    if not isinstance(document, dict):
        hint = "; a list of objects is read with captions.format table" if isinstance(document, list) else ""
        raise malformed(path, f"holds a JSON {type(document).__name__}, not an object{hint}")
    return document


def _is_karpathys(document: dict[str, Any]) -> bool:
    images = document.get("images")
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


def malformed(path: str, what: str) -> UserError:
    """The error for a captions file at `path`; `what` says what it is or has."""
    return UserError(f"captions.path: {path} {what}")


class _KeyTwiceError(Exception):
    """Of two lists of images JSON readers keep the last, and the other would vanish without a word."""


def _parsed(data: bytes) -> Any:
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    try:
        return json.loads(data, object_pairs_hook=_object)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except ValueError:  # a number with more digits than Python takes
        return json.loads(data, object_pairs_hook=_object, parse_int=_whole_number)


def _object(pairs: list[tuple[str, Any]]) -> dict:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        for key in _LISTS:
            if keys.count(key) > 1 and isinstance(record[key], list):
                raise _KeyTwiceError(repr(key))
    return record


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits
