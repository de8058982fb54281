"""What the HTTP side does with requests of all kinds, before any model is asked."""

import asyncio
import base64
import io
import json
import struct
import zlib

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from pipeline.images import ImageProblem
from pipeline.serving.app import build_app
from pipeline.serving.config import ServeConfig
from pipeline.serving.model_deployment import Reply
from tests.serving.conftest import png

LIMITS = ServeConfig(max_pixels=5000, max_megabytes=0.2, max_names=6, timeout_seconds=600)
SMALL = png(np.zeros((20, 30, 3), np.uint8))
NOISE = png(np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8))


class Asked:
    """Answers no request, and keeps what it was asked."""

    def __init__(self):
        self.requests = []

    async def __call__(self, jpeg, classes, sha256):
        self.requests.append((Image.open(io.BytesIO(jpeg)), classes))
        return Reply(ImageProblem("asked", "the models were asked"), 0.0, 1)


async def yes() -> bool:
    return True


def asking(config, ask=None, ready=yes) -> TestClient:
    """A program that asks an application on this machine."""
    return TestClient(build_app(config, ask or Asked(), ready), base_url="http://127.0.0.1:8000")


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def client(asked):
    with asking(LIMITS, asked) as client:
        yield client


def post(client, image=SMALL, classes="dog, sofa/couch"):
    return client.post("/api/segment", files={"image": ("a.png", image)}, data={"classes": classes})


def bomb(width: int, height: int) -> bytes:
    """A small PNG whose header says that it is large."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return SMALL[:12] + header + struct.pack(">I", zlib.crc32(header)) + SMALL[33:]


@pytest.mark.parametrize(
    ("image", "status", "code", "message"),
    [
        (b"", 422, "not_an_image", "image: this file is none of JPEG, PNG"),
        (b"no image at all", 422, "not_an_image", "or is damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", 422, "not_an_image", "none of"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422, "not_an_image", "none of"),
        (NOISE[:900], 422, "damaged", "image: damaged"),
        (bomb(100_000, 100_000), 413, "too_many_pixels", "image: 100000×100000 pixels are more than the 5,000"),
        (png(np.zeros((100, 51, 3), np.uint8)), 413, "too_many_pixels", "51×100 pixels"),
        (b"\0" * 300_000, 413, "too_many_bytes", "larger than the 0.2 MB"),
    ],
    ids=["nothing", "text", "svg", "eps", "cut off", "bomb", "too many pixels", "too many bytes"],
)
def test_images_that_cannot_be_used(client, asked, image, status, code, message):
    response = post(client, image)
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert message in response.json()["message"]
    assert not asked.requests


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "classes: no classes are given"),
        ("a, , b", "has an empty name"),
        ("a, b, a", "two classes are called 'a'"),
        ("a/b, c, d, e, f/g", "classes: 7 names are given, at most 6"),
        ("x" * 201, "longer than 200 characters"),
        ("x," * 2000, "this text is too long for the 6 names"),
    ],
)
def test_classes_that_cannot_be_used(client, asked, classes, message):
    response = post(client, classes=classes)
    assert response.status_code == 422
    assert response.json()["error"] == "classes"
    assert message in response.json()["message"]
    assert not asked.requests


def test_requests_in_another_form(client, asked):
    def said(**request):
        response = client.post("/api/segment", **request)
        return response.status_code, response.json()["error"], response.json()["message"]

    assert said(content=b"x", headers={"content-type": "text/plain"})[:2] == (415, "content_type")
    assert said()[:2] == (415, "content_type")
    assert said(data={"classes": "a"}, files={"other": b"x"})[:2] == (422, "no_image")
    assert said(files={"image": SMALL})[:2] == (422, "classes")
    assert said(content=b"--", headers={"content-type": "multipart/form-data; boundary=b"})[0] in (400, 422)
    assert said(content=b"{", headers={"content-type": "application/json"})[:2] == (400, "json")
    assert said(json={"image": "!", "classes": "a"})[:2] == (422, "base64")
    assert said(json={"classes": "a"}) == (422, "json", "image: Field required")
    assert said(json=[])[:2] == (422, "json")
    deep = b"[" * 100_000
    assert said(content=deep, headers={"content-type": "application/json"})[0] == 400
    # Without a length in front, the bytes are counted as they come.
    chunks = (b"\0" * 50_000 for _ in range(10))
    assert said(content=chunks, headers={"content-type": "application/json"})[:2] == (413, "too_many_bytes")
    assert client.get("/api/segment").status_code == 405
    assert client.get("/page/../config.py").status_code == 404
    assert client.get("/api/nothing").json() == {"error": "http", "message": "Not Found"}
    assert not asked.requests


def test_both_forms_and_both_ways_to_write_classes(client, asked):
    image = base64.b64encode(SMALL).decode()
    names = "<b>dog, sofa/couch"
    responses = [
        post(client, classes=names),
        client.post("/api/segment", json={"image": image, "classes": names}),
        client.post("/api/segment", json={"image": image, "classes": ["<b>dog", "sofa, couch"]}),
    ]
    assert {(response.status_code, response.json()["error"]) for response in responses} == {(422, "asked")}
    assert [classes for _, classes in asked.requests] == [(("<b>dog",), ("sofa", "couch"))] * 3


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_files_of_all_kinds_become_upright_rgb(client, asked):
    red = Image.new("RGB", (30, 20), (200, 40, 40))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.full((20, 30), 40_000, np.uint16))
    for data in (
        saved(red.convert("CMYK"), "JPEG"),
        saved(red, "GIF", save_all=True, append_images=[Image.new("RGB", (30, 20), "blue")]),
        saved(red, "WEBP"),
        saved(red, "BMP"),
        saved(red, "TIFF"),
        saved(deep, "PNG"),
        saved(red.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=turned),
    ):
        post(client, data)
        image, _ = asked.requests[-1]
        assert (image.format, image.size) == ("JPEG", (30, 20))
        expected = (156, 156, 156) if data == saved(deep, "PNG") else (200, 40, 40)
        np.testing.assert_allclose(np.asarray(image.convert("RGB")).mean(axis=(0, 1)), expected, atol=12)
    assert len(asked.requests) == 7


def test_a_request_that_takes_too_long_is_given_up():
    given_up = []

    async def never(jpeg, classes, sha256):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            given_up.append(classes)
            raise

    limits = ServeConfig(timeout_seconds=0.2)
    with asking(limits, never) as client:
        response = post(client)
    assert (response.status_code, response.json()["error"]) == (504, "timeout")
    assert given_up == [(("dog",), ("sofa", "couch"))]


def test_models_that_fail_or_are_not_there():
    async def fails(jpeg, classes, sha256):
        raise RuntimeError("secret")

    async def no() -> bool:
        return False

    with asking(LIMITS, fails, no) as client:
        response = post(client)
        assert (response.status_code, response.json()["error"]) == (500, "failed")
        assert "secret" not in response.text
        assert client.get("/api/health").json() == {"status": "ok"}
        assert client.get("/api/ready").status_code == 503


def test_the_page_allows_nothing_from_elsewhere(client):
    for path in ("/", "/page/page.js", "/page/look.css"):
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert response.headers["x-content-type-options"] == "nosniff"
    hostile = ServeConfig(classes='"></textarea><script>alert(1)</script>')
    with asking(hostile) as other:
        assert "<script>alert" not in other.get("/").text


def test_the_description_is_valid_openapi(client):
    from openapi_spec_validator import validate

    description = client.get("/openapi.json").json()
    validate(description)
    segment = description["paths"]["/api/segment"]["post"]
    assert set(segment["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    assert {"200", "400", "403", "413", "415", "421", "422", "500", "503", "504"} == set(segment["responses"])
    assert "$ref" in json.dumps(segment["responses"]["200"])
