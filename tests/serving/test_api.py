"""`python -m jobs.serve`, asked by programs."""

import base64
import io
import json
import queue
import socket
import threading

import numpy as np
import pytest
import requests
from PIL import Image

from jobs import serve as serve_job
from jobs.command import Command
from pipeline.clip import ClipConfig
from pipeline.images import ImagesConfig, decode_jpeg, read_upright
from pipeline.masks import rle
from pipeline.proposals import ProposalsConfig
from pipeline.segmentation import UNLABELLED, SegmentationConfig, parse_classes
from pipeline.segmentation.drawing import class_colours
from pipeline.segmentation.fusion import class_scores
from pipeline.segmentation.job_config import ModelsConfig
from pipeline.segmentation.loading import load_segmenter
from pipeline.serving.config import ServerConfig
from tests.segmentation.colours import fields
from tests.servers.ports import free_port
from tests.serving.colours_at_a_gate import GATED, UNUSABLE, plain
from tests.serving.conftest import png

CLASSES = "red thing/fire, grass, <b>sea"


def post(server, image, classes=CLASSES):
    return requests.post(server.url + "api/segment", files={"image": png(image)}, data={"classes": classes})


@pytest.mark.slow
def test_the_answer_is_what_the_segmenter_says(server):
    image = fields(48, 60)
    response = post(server, image)
    assert response.status_code == 200
    answer = response.json()

    classes = parse_classes(CLASSES)
    config = ModelsConfig(
        clip=ClipConfig(architecture=f"local-dir:{server.clip}", weights=None),
        proposals=ProposalsConfig(backend="tests.segmentation.colours:ColourProposer"),
        segmentation=SegmentationConfig(templates="none", background=["other"]),
    )
    upright = decode_jpeg(read_upright(png(image), ImagesConfig(max_side=0, min_side=1)).data)
    [(_, expected)] = load_segmenter(config, classes, gpu=False).predict([(upright, "", None)])
    labels = expected.label_map(1.0)

    assert (answer["width"], answer["height"]) == (60, 48)
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["labels"])))).astype(int)
    np.testing.assert_array_equal(sent, np.where(labels == UNLABELLED, 255, labels))
    assert answer["unlabelled"] == pytest.approx(np.mean(labels == UNLABELLED))
    colours = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in class_colours(3)]
    assert [(entry["names"], entry["colour"]) for entry in answer["legend"]] == [
        (list(names), colour) for names, colour in zip(classes, colours, strict=True)
    ]
    for entry in answer["legend"]:
        assert entry["mask"]["size"] == [48, 60]
        [mask] = rle.decode([entry["mask"]["counts"].encode()], 48, 60)
        np.testing.assert_array_equal(mask, labels == entry["index"])
        assert (entry["area"], entry["share"]) == (mask.sum(), pytest.approx(mask.mean()))

    scores_QC = class_scores(None, expected.region_logits, expected.valid, 1.0).numpy()
    by_mask = dict(zip(expected.masks, scores_QC, strict=True))
    assert [region["area"] for region in answer["regions"]] == sorted(
        rle.areas(expected.masks, 48, 60).tolist(), reverse=True
    )
    columns = ["red thing", "grass", "<b>sea", "other"]
    for region in answer["regions"]:
        code = region["mask"]["counts"].encode()
        scores_C = by_mask.pop(code)
        np.testing.assert_array_equal(region["box"], rle.boxes([code], 48, 60)[0])
        assert [name["name"] for name in region["names"]] == [columns[column] for column in np.argsort(-scores_C)]
        np.testing.assert_allclose([name["score"] for name in region["names"]], np.sort(scores_C)[::-1], atol=1e-4)
        assert [name["name"] for name in region["names"] if name["background"]] == ["other"]
    assert not by_mask
    timing = answer["timing"]
    assert timing["batch"] == 1
    parts = sum(timing[part] for part in ("decode", "wait", "models", "draw"))
    assert timing["total"] == pytest.approx(parts)


def test_json_and_a_form_give_the_same(server):
    def content(answer):
        return {name: value for name, value in answer.items() if name != "timing"}

    body = {"image": base64.b64encode(png(fields())).decode(), "classes": ["red thing, fire", "grass", "<b>sea"]}
    response = requests.post(server.url + "api/segment", json=body)
    assert response.status_code == 200
    assert content(response.json()) == content(post(server, fields()).json())


def test_what_only_the_models_can_refuse(server):
    unusable, background = post(server, plain(UNUSABLE)), post(server, fields(), classes="sea, other")
    assert (unusable.status_code, unusable.json()["error"]) == (422, "unusable")
    assert (background.status_code, background.json()["error"]) == (422, "classes")
    assert "'other' is also a class" in background.json()["message"]


def test_limits_hold_on_the_way_through_ray_serve(server):
    assert post(server, np.zeros((101, 100, 3), np.uint8)).status_code == 413
    too_many = requests.post(server.url + "api/segment", data=b"\0" * 600_000, headers={"content-type": "image/png"})
    assert (too_many.status_code, too_many.json()["error"]) == (413, "too_many_bytes")


def test_health_readiness_and_description(server):
    assert requests.get(server.url + "api/health").json() == {"status": "ok"}
    assert requests.get(server.url + "api/ready").json() == {"status": "ready"}
    assert "/api/segment" in requests.get(server.url + "openapi.json").json()["paths"]
    assert "Segmentation by names" in requests.get(server.url).text


def test_a_full_queue_refuses_and_everybody_else_is_answered(server):
    # Twice two may be with the models, and one may wait; while some arrive at once, Serve may let in a few more.
    answers: queue.Queue[requests.Response] = queue.Queue()
    threads = [threading.Thread(target=lambda: answers.put(post(server, plain(GATED)))) for _ in range(40)]
    threads[0].start()
    server.gate.wait_for_arrival()
    for thread in threads[1:]:
        thread.start()
    for _ in range(25):
        refused = answers.get()
        assert (refused.status_code, refused.json()["error"]) == (503, "busy")
        assert int(refused.headers["retry-after"]) > 0
    assert requests.get(server.url + "api/health").ok
    server.gate.open()
    for thread in threads:
        thread.join()
    last = [answers.get_nowait() for _ in range(15)]
    assert {response.status_code for response in last} <= {200, 503}
    assert last[-1].status_code == 200
    assert post(server, fields()).status_code == 200


def asked_raw(server, *lines: bytes) -> tuple[int, bytes]:
    """The status and the rest of what is answered to a request that no client library would send."""
    _, port = server.url.rstrip("/").rsplit(":", 1)
    with socket.create_connection(("127.0.0.1", int(port))) as connection:
        connection.sendall(b"\r\n".join((*lines, b"Connection: close", b"", b"")))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(answer.split()[1]), answer


# The last two are answered by Ray Serve's proxy itself.
@pytest.mark.parametrize(
    "path", [b"/", b"/openapi.json", b"/api/health", b"/page/page.js", b"/-/routes", b"/-/healthz"]
)
def test_foreign_names_and_pages_get_nothing(server, path):
    get = b"GET " + path + b" HTTP/1.1"
    assert asked_raw(server, get, b"Host: localhost")[0] == 200
    for lines in ([b"Host: evil.example"], [], [b"Host: localhost", b"Host: evil.example"]):
        status, answer = asked_raw(server, get, *lines)
        assert status == 421
        assert b'"error":"host"' in answer
    assert asked_raw(server, b"GET " + path + b" HTTP/1.0")[0] == 421
    assert asked_raw(server, get, b"Host: localhost", b"Origin: http://evil.example")[0] == 403


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: \xff\xfe",
        b"serve_multiplexed_model_id: \xff\xfe",
        b"serve_multiplexed_model_id: another",
        b"traceparent: \xff",
        b"X-Request-Timeout-Seconds: 0.000001",
        b"X-Anything: \xff\xfe",
        b"Accept: " + b"x" * 5000,
    ],
)
def test_headers_of_all_kinds(server, line):
    """Ray Serve has some of its own, which are nobody's business here."""
    assert asked_raw(server, b"GET /api/health HTTP/1.1", b"Host: localhost", line)[0] == 200


@pytest.mark.parametrize("target", [b"/page/%ff%zz%00", b"/%c3%28", b"/page/..%2f..%2fconfig.py", b"//", b"/?%ff=%zz"])
def test_targets_of_all_kinds(server, target):
    status, _ = asked_raw(server, b"GET " + target + b" HTTP/1.1", b"Host: localhost")
    assert status == (200 if target.startswith(b"/?") else 404)


def arguments(tiny_folder, **changes):
    settings = {
        "clip.architecture": f"local-dir:{tiny_folder}",
        "clip.weights": "null",
        "segmentation.templates": "none",
        "proposals.backend": "tests.segmentation.colours:ColourProposer",
        "serve.port": free_port(),
    }
    return [f"--{key}={value}" for key, value in (settings | changes).items()]


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"serve.queue": 0}, "serve.queue is 0"),
        ({"serve.hosts": "[https://example.org]"}, "serve.hosts has 'https://example.org'"),
        ({"serve.port": 70000}, "serve.port is 70000"),
        ({"serve.classes": "a, a"}, "serve.classes: two classes are called 'a'"),
        ({"serve.max_names": 3}, "serve.classes has 10 names"),
        ({"serve.host": "192.0.2.1"}, "serve.host: '192.0.2.1' is not an address of this machine"),
        ({"serve.replicas": 99}, "serve.replicas: 99 with 1 CPUs each need 99"),
        ({"gpus": 999}, "gpus is 999"),
        ({"clip.threads": 0}, "clip.threads is 0"),
        ({"proposals.backend": "ground_truth"}, "proposals.backend: ground_truth knows annotated images only"),
        ({"segmentation.background": "[sky]"}, "segmentation.background: 'sky' is also a class"),
        ({"clip.architecture": "local-dir:absent"}, "clip.architecture"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_started(tiny_folder, capsys, changes, message):
    assert serve_job.main(arguments(tiny_folder, **changes)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("ray_cluster")
def test_a_port_that_is_taken(server, tiny_folder, capsys):
    port = server.url.rstrip("/").rpartition(":")[2]
    assert serve_job.main(arguments(tiny_folder, **{"serve.port": port})) == 2
    assert f"serve.port: {port} cannot be used at 127.0.0.1" in capsys.readouterr().err


def test_the_example_configuration_is_complete_and_known():
    parsed = Command("jobs.serve", "", ServerConfig).parser.parse_args(["--config", "jobs/serve.yaml"])
    default = Command("jobs.serve", "", ServerConfig).parser.parse_args([])
    assert json.dumps(vars(parsed.serve)) == json.dumps(vars(default.serve))
