"""The reading step without Ray: a web server that refuses costs the one image."""

import http.server
import io
import threading

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import schemas
from pipeline import storage
from pipeline.dataset.layout import Layout
from pipeline.dataset.vocabulary import Vocabulary, vocabulary_table
from pipeline.images import ImagesConfig
from pipeline.mining.steps.read_images import ReadImages


class Web(http.server.BaseHTTPRequestHandler):
    """`/good.jpg` is an image, `/forbidden.jpg` is refused, everything else is not there."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 30), "red").save(buffer, "JPEG")
        status = {"/good.jpg": 200, "/forbidden.jpg": 403}.get(self.path, 404)
        body = buffer.getvalue() if status == 200 else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def captions_row(uri: str) -> dict:
    noun = {"noun": "dog", "surface": "dog", "caption_index": 0, "char_start": 2, "char_end": 5}
    return dict.fromkeys(schemas.CAPTIONS.names) | {
        "image_id": uri, "image_uri": uri, "captions": ["a dog"], "captions_used": 1,
        "caption_problems": [""], "nouns": [noun],
    }  # fmt: skip


@pytest.fixture
def read(tmp_path):
    """Reads a shard of images by their URIs."""
    layout = Layout(str(tmp_path))
    vocabulary = Vocabulary(vocabulary_table(["dog"], [1], np.ones((1, 4), np.float32)))
    step = ReadImages(layout, ImagesConfig(), vocabulary)

    def read_uris(uris):
        table = pa.Table.from_pylist([captions_row(uri) for uri in uris], schemas.CAPTIONS)
        storage.write_table(table, layout.table("captions", 0))
        return step(0, announce=lambda image: None)

    return read_uris


def test_each_refusal_costs_its_own_image(web, read):
    shard = read([f"{web}/good.jpg", f"{web}/forbidden.jpg", f"{web}/gone.jpg", "http://127.0.0.1:1/no-server.jpg"])
    reasons = {reject["image_uri"].rpartition("/")[2]: reject["reason"] for reject in shard.rejects}
    assert reasons == {"forbidden.jpg": "unreachable", "gone.jpg": "missing_file", "no-server.jpg": "unreachable"}
    [good] = shard.remaining()
    assert (good.jpeg.width, good.jpeg.height) == (40, 30)


def test_more_images_than_are_read_at_once_keep_their_order(tmp_path, read):
    for number in range(40):
        Image.new("RGB", (20 + number, 20)).save(tmp_path / f"{number}.png")
    shard = read([str(tmp_path / f"{number}.png") for number in range(40)])
    assert [image.jpeg.width for image in shard.remaining()] == [20 + number for number in range(40)]
