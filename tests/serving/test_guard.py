"""Foreign pages and names try to use a server that is meant for this machine, or for those who know its names."""

import pytest
from fastapi.testclient import TestClient

from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.serving.app import build_app
from pipeline.serving.config import ServeConfig
from pipeline.serving.model_deployment import Reply

PATHS = ("/", "/page/page.js", "/openapi.json", "/api/health", "/api/ready", "/api/nothing", "/api/segment")


async def yes() -> bool:
    return True


async def answer(jpeg, classes, sha256):
    return Reply(ImageProblem("asked", "the models were asked"), 0.0, 1)


def client(**settings) -> TestClient:
    return TestClient(build_app(ServeConfig(**settings), answer, yes), base_url="http://localhost:8000")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example:8000",
        "127.0.0.1.evil.example",
        "evil.example:8000@localhost",
        "localhost@evil.example",
        "localhost:8000.evil.example",
        "192.0.2.7:8000",
        "[2001:db8::7]:8000",
        "0.0.0.0:8000",
        "2130706433:8000",
        "0x7f.1",
        "localhost:",
        "localhost:port",
        "localhost/",
        "[::1",
        "",
        " ",
        "lоcalhost".encode(),  # with a Cyrillic letter
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_foreign_name_gets_nothing(host, path):
    for method in ("GET", "POST", "OPTIONS"):
        response = client().request(method, path, headers={"host": host})
        assert (response.status_code, response.json()["error"]) == (421, "host")
        assert "serve.hosts" in response.json()["message"]
        assert response.headers["content-type"] == "application/json"


def test_two_names_get_nothing():
    headers = [("host", "localhost:8000"), ("host", "evil.example")]
    asked = client()
    assert asked.send(asked.build_request("GET", "/", headers=headers)).status_code == 421


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST.:80", "127.0.0.1:9000", "127.1.2.3", "[::1]:8000", "[0:0:0:0:0:0:0:1]"],
)
def test_this_machine_may_ask_at_any_port(host):
    assert client().get("/api/health", headers={"host": host}).json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("settings", "known", "foreign"),
    [
        ({"host": "192.0.2.7"}, ["192.0.2.7:8000", "localhost"], ["192.0.2.8:8000", "evil.example"]),
        ({"host": "gpu01"}, ["GPU01:8000", "gpu01.:8000"], ["gpu02", "gpu01.evil.example"]),
        (
            {"hosts": ["pictures.example.org", "2001:db8::1"]},
            ["pictures.example.org", "Pictures.Example.org:443", "[2001:db8::1]:80"],
            ["example.org", "x.pictures.example.org"],
        ),
        ({"host": "0.0.0.0"}, ["192.0.2.7:8000", "[2001:db8::7]:8000", "localhost"], ["evil.example", "gpu01:8000"]),
        ({"host": "::"}, ["192.0.2.7:8000"], ["evil.example"]),
        ({"host": "0.0.0.0", "hosts": ["gpu01"]}, ["gpu01:8000"], ["gpu02:8000"]),
    ],
)
def test_further_names_are_configured(settings, known, foreign):
    asked = client(**settings)
    assert {asked.get("/", headers={"host": host}).status_code for host in known} == {200}
    assert {asked.get("/", headers={"host": host}).status_code for host in foreign} == {421}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://localhost:8000",
        "http://localhost",
        "http://localhost:3000",
        "http://127.0.0.1:8000",
        "http://localhost:8000.evil.example",
        "http://localhost:8000@evil.example",
        "null",
        "",
        "file://",
        "chrome-extension://abcdef",
        "localhost:8000",
        "http://localhost:99999999",
        "http://[::1",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_foreign_page_gets_nothing(origin, method):
    response = client().request(method, "/api/segment", headers={"origin": origin})
    assert (response.status_code, response.json()["error"]) == (403, "origin")
    assert "access-control-allow-origin" not in response.headers


def test_two_pages_at_once_get_nothing():
    headers = [("origin", "http://localhost:8000"), ("origin", "http://evil.example")]
    assert client().post("/api/segment", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("settings", "host", "origin"),
    [
        ({}, "localhost:8000", "http://localhost:8000"),
        ({}, "localhost:9000", "http://localhost:9000"),
        ({}, "localhost", "http://localhost:80"),
        ({}, "[::1]:8000", "http://[::1]:8000"),
        ({"host": "0.0.0.0"}, "192.0.2.7:8000", "http://192.0.2.7:8000"),
        # A proxy that encrypts, with the name kept or replaced.
        ({"hosts": ["pictures.example.org"]}, "pictures.example.org", "https://pictures.example.org"),
        ({"hosts": ["pictures.example.org"]}, "127.0.0.1:8000", "https://pictures.example.org"),
    ],
)
def test_its_own_page_may_ask(settings, host, origin):
    headers = {"host": host, "origin": origin, "sec-fetch-site": "same-origin"}
    response = client(**settings).post("/api/segment", headers=headers)
    assert (response.status_code, response.json()["error"]) == (415, "content_type")


@pytest.mark.parametrize(
    ("site", "method", "allowed"),
    [
        ("cross-site", "POST", False),
        ("same-site", "POST", False),
        ("cross-site", "PUT", False),
        ("cross-site", "GET", True),  # somebody followed a link
        ("none", "GET", True),
        ("none", "POST", True),
        ("same-origin", "POST", True),
    ],
)
def test_what_browsers_say_of_the_page(site, method, allowed):
    response = client().request(method, "/", headers={"sec-fetch-site": site})
    assert (response.status_code != 403) == allowed


@pytest.mark.parametrize("path", PATHS)
def test_answers_are_for_its_own_page_alone(path):
    headers = client().get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"


@pytest.mark.parametrize(
    "name", ["https://example.org", "example.org:8000", "example.org/x", "*.example.org", "", "a b"]
)
def test_names_that_are_none(name):
    with pytest.raises(UserError, match=r"serve\.hosts has "):
        ServeConfig(hosts=[name]).check()


def test_names_and_addresses():
    ServeConfig(hosts=["example.org", "gpu_01", "192.0.2.7", "2001:db8::1", "[2001:db8::1]"]).check()
