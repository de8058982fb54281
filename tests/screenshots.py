"""The documents' pictures of the pages, taken of a demo:

    make demo
    python -m tests.screenshots demo-output/demo-0

They go to pipeline/report/screenshots.
"""

import argparse
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from jobs.exit_codes import exit_code
from jobs.ray_connection import work_on_ray
from pipeline.clip import ClipConfig
from pipeline.demo.runs import PROPOSALS
from pipeline.demo.variants import FULL
from pipeline.microworld.categories import NAMES
from pipeline.serving.config import ServeConfig, ServerConfig
from pipeline.serving.run import running
from tests.browser import open_chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FOLDER = Path(__file__).resolve().parent.parent / "pipeline" / "report" / "screenshots"
_SIZE = {"width": 1200, "height": 760}
_QUALITY = 72
_PORT = 8642


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.screenshots", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of one seed of a demo: demo-output/demo-0")
    demo = parser.parse_args().demo.resolve()
    return exit_code(lambda: work_on_ray(lambda: _take_all(demo)))


def _take_all(demo: Path) -> None:
    config = ServerConfig(
        clip=ClipConfig(architecture=f"local-dir:{demo}/adapted/{FULL.name}/model", weights=None, batch_size=64),
        proposals=PROPOSALS,
        serve=ServeConfig(port=_PORT),
    )
    _FOLDER.mkdir(exist_ok=True)
    with running(config) as url, open_chromium() as browser:
        report = demo / "report"
        page = _open(browser, (report / "mined" / "index.html").as_uri())
        _save(page, "dataset", "#pairs")
        page = _open(browser, (report / "evaluated" / "index.html").as_uri())
        _save(page, "evaluation", "#images")
        page = _open(browser, url)
        _segment(page, demo / "test-world")
        _save(page, "serve", "#main")


def _open(browser: "Browser", url: str) -> "Page":
    page = browser.new_page(viewport=_SIZE, color_scheme="light")
    page.goto(url)
    return page


def _segment(page: "Page", world: Path) -> None:
    """Segment the first test scene by all nouns of the world."""
    image = min(json.loads((world / "panoptic.json").read_text())["images"], key=lambda entry: entry["id"])
    page.locator("#image").set_input_files(world / "images" / image["file_name"])
    page.get_by_label("What to look for").fill(", ".join(NAMES))
    page.get_by_role("button", name="Segment", exact=True).click()
    page.locator("#results").wait_for()


def _save(page: "Page", name: str, beginning: str) -> None:
    """What a window shows that begins with an element of the page."""
    page.locator(beginning).evaluate("(element) => element.scrollIntoView({behavior: 'instant'})")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    path = _FOLDER / f"{name}.webp"
    Image.open(io.BytesIO(page.screenshot())).convert("RGB").save(path, quality=_QUALITY, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    page.close()


if __name__ == "__main__":
    raise SystemExit(main())
