"""What a report's page holds for its scripts."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any


class _Scripts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._open: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = dict(attrs).get("id") if tag == "script" else None

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_data(self, data: str) -> None:
        if self._open:
            self.found[self._open] = self.found.get(self._open, "") + data


def page_scripts(page: Path | str) -> dict[str, str]:
    """The contents of the scripts that have an id."""
    parser = _Scripts()
    parser.feed(Path(page).read_text())
    return parser.found


def page_json(page: Path | str, script: str) -> Any:
    """The value of one of them."""
    return json.loads(page_scripts(page)[script])
