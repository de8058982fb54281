"""What a report's page holds for its scripts, and whether it fits a screen."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Page


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


def assert_fits(page: Path, browser_page: "Page", width: int) -> None:
    """That nothing of a page is wider than a dark screen of this width (px), and that every picture of it is shown."""
    browser_page.set_viewport_size({"width": width, "height": 800})
    browser_page.emulate_media(color_scheme="dark")
    browser_page.goto(page.as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert browser_page.evaluate("[...document.images].every((image) => image.alt !== null && image.naturalWidth > 0)")
