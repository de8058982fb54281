"""A server with a bank: what an answer says of the mined regions that it rests on, and how the page shows it."""

import base64
import hashlib
import io
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import uvicorn
from PIL import Image

from pipeline.bank import BankConfig, open_bank
from pipeline.bank.evidence import Evidence, EvidenceReader
from pipeline.bank.search import Neighbours
from pipeline.clip import ClipConfig
from pipeline.export.bank import export_bank
from pipeline.export.bank_source import BankSettings
from pipeline.microworld.pair_shards import Pair, describe_pairs, write_pairs
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import SegmentationConfig
from pipeline.serving.answer import draw
from pipeline.serving.app import build_app
from pipeline.serving.config import ServeConfig, ServerConfig
from pipeline.serving.model_deployment import Reply
from pipeline.serving.models import Models, Request
from tests.segmentation.colours import COLOURS, fields
from tests.servers.ports import free_port
from tests.serving.conftest import png
from tests.serving.test_models import jpeg

HOSTILE = "<img src=x onerror=alert(1)>"
CLASSES = (("red thing", "fire"), ("grass",), ("sea",))


@pytest.fixture(scope="module")
def bank(tiny_folder, tmp_path_factory):
    """The three stripes of `fields()`, as mined regions of one image."""
    folder = tmp_path_factory.mktemp("mined") / "dataset"
    describe_pairs(folder, 1, 1)
    image = fields()
    masks = [(image == colour).all(axis=2) for colour in COLOURS.values()]
    nouns = ["fire", HOSTILE, "sea"]
    write_pairs(folder, 0, [Pair("1", image, mask, noun) for mask, noun in zip(masks, nouns, strict=True)])
    to = folder.parent / "bank"
    export_bank([str(folder)], str(to), BankSettings(architecture=f"local-dir:{tiny_folder}"))
    return to


@pytest.fixture(scope="module")
def segmented(tiny_folder, bank):
    """What the models of a server with this bank say of `fields()`."""
    config = ServerConfig(
        clip=ClipConfig(architecture=f"local-dir:{tiny_folder}", weights=None, batch_size=4),
        proposals=ProposalsConfig("tests.segmentation.colours:ColourProposer"),
        segmentation=SegmentationConfig(
            templates="none", bank=BankConfig(path=str(bank), neighbours=2, min_similarity=-1.0)
        ),
        serve=ServeConfig(neighbours=2),
    )
    [found] = Models(config, gpu=False).segment([Request(jpeg(fields()), CLASSES, "0" * 64)])
    return found


def test_an_answer_names_and_shows_the_mined_regions_that_it_rests_on(segmented, bank):
    answer = draw(segmented, CLASSES)
    stored = open_bank(str(bank))
    assert len(answer["regions"]) == 2  # JPEG leaves no stripe of one colour
    rows = segmented.prediction.neighbours.rows
    nearest = [[stored.entry(row) for row in rows_K] for rows_K in rows.tolist()]
    for region in answer["regions"]:
        keys = [one.key for one in region.mined]
        rested = next(entries for entries in nearest if [entry.key for entry in entries] == keys)
        assert [one.noun for one in region.mined] == [entry.noun for entry in rested]
        assert 1 >= region.mined[0].similarity >= region.mined[1].similarity
        assert {one.dataset for one in region.mined} == {stored.description.segments[0].dataset}
    found = answer["regions"][0].mined[0].thumbnail
    assert found.startswith("data:image/jpeg;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(found.partition(",")[2])))
    assert picture.format == "JPEG"
    assert max(picture.size) <= 72


def test_pictures_that_cannot_be_read_are_left_out(bank, tmp_path):
    stored = open_bank(str(bank))
    neighbours = Neighbours(np.array([[0, 1, -1], [2, 0, 1]]), np.array([[0.9, 0.2, -np.inf], [0.8, 0.7, 0.6]]))
    read = EvidenceReader(stored).read(neighbours, 2, 0.5)
    assert [[one.noun for one in region] for region in read] == [["fire"], ["sea", "fire"]]
    assert all(one.thumbnail for region in read for one in region)
    gone = [replace(owner, dataset=str(tmp_path / "gone")) for owner in stored.owners]
    assert EvidenceReader(replace(stored, owners=gone)).read(neighbours, 1, 0.5)[0][0].thumbnail is None


def test_regions_of_the_same_file_do_not_vote(segmented):
    """The server knows the file that was sent by its content."""
    asked = []

    async def ask(upright, classes, sha256):
        asked.append(sha256)
        return Reply(segmented, 0.0, 1)

    from tests.serving.test_app import asking, post

    image = png(fields())
    with asking(ServeConfig(), ask) as client:
        answer = post(client, image, "red thing, grass, sea").json()
    assert asked == [hashlib.sha256(image).hexdigest()]
    assert len(answer["regions"][0]["mined"]) == 2


@pytest.fixture
def url(segmented) -> Iterator[str]:
    """The page and the API in front of what the models said, with hostile nouns, and one without a picture."""
    hostile = Evidence(HOSTILE, 0.5, f"s3://bucket/{HOSTILE}", "000000-000001", None)
    injected = Evidence("dog", 0.4, "/mined", "000000-000002", "javascript:alert(1)")
    evidence = [[*found, hostile, injected] for found in segmented.evidence]

    async def ask(upright, classes, sha256):
        return Reply(replace(segmented, evidence=evidence), 0.0, 1)

    async def ready() -> bool:
        return True

    port = free_port()
    app = build_app(ServeConfig(classes="red thing, grass, sea"), ask, ready)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    started = threading.Event()
    server.config.load()
    thread = threading.Thread(target=server.run, daemon=True)
    startup = server.startup

    async def startup_and_tell(*arguments, **options):
        await startup(*arguments, **options)
        started.set()

    server.startup = startup_and_tell
    thread.start()
    assert started.wait(60)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(60)


@pytest.mark.slow
def test_the_page_shows_the_mined_regions_by_keyboard_and_as_text(browser_page, url):
    expect = pytest.importorskip("playwright.sync_api").expect
    page = browser_page
    page.goto(url)
    page.locator("#image").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": png(fields())})
    page.get_by_role("button", name="Segment", exact=True).click()
    row = page.locator("#regions tr").first
    summary = row.locator("summary")
    expect(summary).to_have_text("4 mined regions most like it")
    expect(row.locator("details li").first).to_be_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    items = row.locator("details li")
    expect(items).to_have_count(4)
    expect(items.first).to_be_visible()
    # Nouns and addresses are text; of pictures only JPEG in data URLs are shown.
    expect(items.nth(2).locator("strong")).to_have_text(HOSTILE)
    expect(items.nth(2)).to_contain_text(f"s3://bucket/{HOSTILE}")
    expect(items.nth(2)).to_contain_text("no picture")
    expect(items.nth(3)).to_contain_text("no picture")
    assert page.locator("#regions img[src='x']").count() == 0
    pictures = row.locator("details img")
    expect(pictures).to_have_count(2)
    assert pictures.evaluate_all("all => all.map((one) => one.complete && one.naturalWidth > 0)") == [True, True]
    assert pictures.first.get_attribute("alt").startswith("Mined region of ")
    page.keyboard.press("Enter")
    expect(items.first).to_be_hidden()


def test_without_a_bank_an_answer_has_no_mined_regions(segmented):
    answer = draw(replace(segmented, evidence=[]), CLASSES)
    assert all(region.mined == [] for region in answer["regions"])
