"""COCO's kind of JSON files, an object of long lists, written without holding the lists."""

import json
import tempfile
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline import storage


def write_json_lists(uri: str, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> None:
    """Write `{**head, **lists}` with one line for each element. The file appears whole; it is made on the local disk.

    Args:
        lists: taken one after the other, in their order, and each element only when the one before is written.

    Raises:
        OSError: storage failed, and nothing was written; whatever an iterable raises.
    """
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
        separator = "{\n"
        for key, value in head.items():
            file.write(f"{separator}{json.dumps(key)}: {_dumps(value)}")
            separator = ",\n"
        for key, elements in lists.items():
            file.write(f"{separator}{json.dumps(key)}: [")
            separator = ",\n"
            for index, element in enumerate(elements):
                file.write((",\n" if index else "\n") + _dumps(element))
            file.write("\n]")
        file.write("\n}\n")
        file.flush()
        storage.upload(file.name, uri)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
