"""The page of `python -m jobs.serve` in a real browser."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.masks import rle
from tests.segmentation.colours import fields
from tests.serving.colours_at_a_gate import GATED, plain
from tests.serving.conftest import png

expect = pytest.importorskip("playwright.sync_api").expect
expect.set_options(timeout=60_000)  # ms; for machines with other work

NAMES = "red thing/fire, grass, <b>sea, <img src=x onerror=alert(1)>"

pytestmark = pytest.mark.slow


def choose(page, data: bytes, name: str = "fields.png") -> None:
    page.locator("#image").set_input_files({"name": name, "mimeType": "image/png", "buffer": data})


def segment(page) -> dict:
    """Press the button; the answer that comes."""
    with page.expect_response("**/api/segment") as response:
        page.get_by_role("button", name="Segment", exact=True).click()
    return response.value.json()


def pixel(page, canvas: str, x: float, y: float) -> list[int]:
    """Red, green, blue and opacity at a place of a canvas, given in fractions of its sides."""
    return page.evaluate(
        """([id, x, y]) => {
            const canvas = document.getElementById(id);
            const place = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
            return [...canvas.getContext("2d").getImageData(...place).data];
        }""",
        [canvas, x, y],
    )


def rgb(colour: str) -> list[int]:
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


@pytest.fixture
def page(server, browser_page):
    browser_page.goto(server.url)
    return browser_page


def test_a_picture_becomes_an_overlay_with_its_legend(page):
    assert page.get_by_label("What to look for").input_value() == "red thing/fire, grass"  # of the configuration
    choose(page, png(fields(48, 60)))
    expect(page.get_by_text("fields.png, 0.00 MB")).to_be_visible()
    page.get_by_label("What to look for").fill(NAMES)
    answer = segment(page)
    expect(page.get_by_role("status")).to_have_text("Done")

    # The middle of every field, away from the white outlines, has the colour of the class that the label map says.
    labels = np.zeros((48, 60), int) - 1
    for entry in answer["legend"]:
        [mask] = rle.decode([entry["mask"]["counts"].encode()], 48, 60)
        labels[mask.astype(bool)] = entry["index"]
    for x, y in ((1 / 6, 1 / 6), (1 / 2, 1 / 2), (5 / 6, 5 / 6)):
        label = labels[int(y * 48), int(x * 60)]
        expected = [*rgb(answer["legend"][label]["colour"]), 255] if label >= 0 else [0, 0, 0, 0]
        assert pixel(page, "overlay", x, y) == expected
    np.testing.assert_allclose(pixel(page, "picture", 1 / 6, 1 / 2)[:3], (220, 40, 40), atol=3)

    legend = page.get_by_role("list", name="Legend")
    shown = [entry for entry in answer["legend"] if entry["area"]]
    assert shown
    for entry in answer["legend"]:  # hostile names too, as text
        button = legend.get_by_role("button", name=" / ".join(entry["names"]))
        expect(button).to_be_enabled() if entry["area"] else expect(button).to_be_disabled()
    assert page.locator(":is(#legend, #regions) :is(b, img)").count() == 0
    assert "segmented: " + max(shown, key=lambda entry: entry["area"])["names"][0] in page.locator(
        "#picture"
    ).get_attribute("aria-label")

    # One class alone, and all of them again.
    chosen = legend.get_by_role("button", name=shown[0]["names"][0])
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "true")
    for x, y in ((1 / 6, 1 / 6), (1 / 2, 1 / 2), (5 / 6, 5 / 6)):
        mine = labels[int(y * 48), int(x * 60)] == shown[0]["index"]
        assert pixel(page, "overlay", x, y)[3] == (255 if mine else 0)
    chosen.click()
    expect(chosen).to_have_attribute("aria-pressed", "false")


def test_opacity_regions_time_and_downloads(page):
    choose(page, png(fields(48, 60)))
    answer = segment(page)
    rows = page.locator("#regions tr")
    expect(rows).to_have_count(len(answer["regions"]))
    best = answer["regions"][0]["names"][0]
    shown = f"{best['name']} (background)" if best["background"] else best["name"]
    expect(rows.first).to_contain_text(f"{shown} {round(100 * best['score'])} %")

    opacity = page.get_by_label("Opacity of the colours")
    opacity.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#overlay")).to_have_css("opacity", "0.8")
    expect(page.locator("#opacity-value")).to_have_text("80 %")

    # A region stands out while its button is pressed: what is outside of it is shaded.
    [mask] = rle.decode([answer["regions"][-1]["mask"]["counts"].encode()], 48, 60)
    rows.last.get_by_role("button").press("Enter")
    page.mouse.move(0, 0)
    for value, shaded in ((1, False), (0, True)):
        y, x = np.argwhere(mask == value)[0]
        assert (pixel(page, "highlight", (x + 0.5) / 60, (y + 0.5) / 48)[3] > 0) == shaded

    expect(page.locator("#timing dt")).to_have_text(
        ["In all", "On the server", "Models", "Waiting", "Decoding and drawing"]
    )
    saved = {}
    for button in ("Picture (PNG)", "Labels (PNG)", "All (JSON)"):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        saved[download.value.suggested_filename] = download.value.path().read_bytes()
    assert json.loads(saved["fields-segmented.json"]) == answer
    assert Image.open(io.BytesIO(saved["fields-labels.png"])).size == (60, 48)
    picture = np.asarray(Image.open(io.BytesIO(saved["fields-segmented.png"])).convert("RGB"))
    assert picture.shape[1] / picture.shape[0] == pytest.approx(60 / 48, rel=0.01)
    colour = np.array(pixel(page, "overlay", 1 / 2, 1 / 2))
    if colour[3]:
        expected = 0.2 * np.array([40, 200, 60]) + 0.8 * colour[:3]
        np.testing.assert_allclose(picture[picture.shape[0] // 2, picture.shape[1] // 2], expected, atol=4)


@pytest.mark.parametrize(
    ("name", "event"),
    [("dropped.png", "new DragEvent('drop', { dataTransfer })"), ("pasted.png", "pasteEvent(dataTransfer)")],
)
def test_dropped_and_pasted_pictures(page, name, event):
    page.evaluate(
        f"""([name, file]) => {{
            const pasteEvent = (clipboardData) => new ClipboardEvent("paste", {{ clipboardData }});
            const dataTransfer = new DataTransfer();
            const bytes = Uint8Array.from(atob(file), (byte) => byte.charCodeAt(0));
            dataTransfer.items.add(new File([bytes], name, {{ type: "image/png" }}));
            document.dispatchEvent({event});
        }}""",
        [name, base64.b64encode(png(fields())).decode()],
    )
    expect(page.get_by_text(name)).to_be_visible()
    expect(page.locator("#picture")).to_be_visible()
    assert segment(page)["width"] == 36


def test_what_goes_wrong_is_said(page, page_problems):
    alert = page.get_by_role("alert")
    button = page.get_by_role("button", name="Segment", exact=True)
    button.click()
    expect(alert).to_have_text("Choose a picture first.")

    choose(page, b"no image", "broken.png")
    expect(page.get_by_text("This browser cannot show the file")).to_be_visible()
    segment(page)
    expect(alert).to_contain_text("image: this file is none of JPEG")
    choose(page, png(np.zeros((101, 100, 3), np.uint8)), "large.png")
    expect(alert).to_be_hidden()
    segment(page)
    expect(alert).to_contain_text("pixels are more than the 10,000 that are allowed here")
    page.get_by_label("What to look for").fill("a, <script>alert(1)</script>, a")
    segment(page)
    expect(alert).to_have_text("classes: two classes are called 'a'; remove or rename one of them")
    page.get_by_label("What to look for").fill("")
    button.click()
    expect(alert).to_have_text("Write the names of what to look for.")
    page.get_by_label("What to look for").fill("a")
    choose(page, b"\0" * 600_000, "huge.png")
    button.click()
    expect(alert).to_have_text("The picture has 0.6 MB; the server takes 0.5 MB.")
    assert len(page_problems) == 3  # Chromium logs every answer that is not 2xx
    assert all("the server responded with a status of 4" in problem for problem in page_problems)
    page_problems.clear()

    # After all of that the next picture works.
    choose(page, png(fields()))
    assert segment(page)["width"] == 36
    expect(alert).to_be_hidden()


def test_a_request_can_be_cancelled(page, server, page_problems):
    choose(page, png(plain(GATED)))
    page.get_by_role("button", name="Segment", exact=True).click()
    server.gate.wait_for_arrival()
    with page.expect_event("requestfailed"):
        page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_have_text("Cancelled")
    server.gate.open()
    assert [problem.rpartition("::")[2] for problem in page_problems] == ["ERR_ABORTED"]
    page_problems.clear()
    choose(page, png(fields()))
    segment(page)
    expect(page.get_by_role("status")).to_have_text("Done")


@pytest.mark.parametrize("width", [360, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_works_by_keyboard(page, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    choose(page, png(fields(48, 60)))
    page.get_by_label("What to look for").focus()
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("status")).to_have_text("Done")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # Every control is reached by the Tab key, and shows that it has the focus.
    names = set()
    page.locator("body").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        names.add(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    assert {"image", "classes", "segment", "opacity", "save-picture", "save-labels", "save-json"} <= names
