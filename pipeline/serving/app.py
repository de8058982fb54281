"""The HTTP side: the page, the API and its description. Decodes and draws; the models are elsewhere."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from itertools import pairwise

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.errors import UserError
from pipeline.images import FORMATS, ImageProblem
from pipeline.report.page import STYLE, static
from pipeline.serving import uploads
from pipeline.serving.answer import Answer, Timing, draw
from pipeline.serving.config import ServeConfig
from pipeline.serving.guard import Guard
from pipeline.serving.model_deployment import Reply
from pipeline.serving.models import Classes, Segmented
from pipeline.serving.problems import PROBLEMS, Problem, ProblemBody
from pipeline.serving.uploads import BodyLimit, SegmentBody, Upload, read_upload

logger = logging.getLogger("ray.serve")

_RETRY_SECONDS = "2"
_DESCRIPTION = """Open-vocabulary segmentation: send an image and the names of what to look for.

    curl -F image=@photo.jpg -F classes='dog, sofa/couch, floor' http://127.0.0.1:8000/api/segment
"""

Ask = Callable[[bytes, Classes, str], Awaitable[Reply]]


def build_app(config: ServeConfig, ask: Ask, ready: Callable[[], Awaitable[bool]]) -> FastAPI:
    """The application.

    Args:
        ask: an upright JPEG, classes and the SHA-256 of the file that was sent → what the models say; raises Ray
            Serve's errors.
        ready: whether the models can be asked.
    """
    app = FastAPI(
        title="Segmentation by names", description=_DESCRIPTION, version="1", docs_url=None, redoc_url=None
    )  # fmt: skip
    app.add_middleware(BodyLimit, megabytes=config.max_megabytes)
    app.add_middleware(Guard, host=config.host, hosts=config.hosts)  # the last one added is asked first
    app.exception_handler(Problem)(_send_problem)
    app.exception_handler(HTTPException)(_send_http_error)
    _add_page(app, config)

    @app.get("/api/health", summary="Whether the server answers", tags=["state"])
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/api/ready",
        summary="Whether the models can be asked",
        tags=["state"],
        responses={503: {"model": ProblemBody, "description": "Not yet, or not any more."}},
    )
    async def readiness() -> dict[str, str]:
        if not await ready():
            raise Problem(503, "not_ready", "the models are being loaded")
        return {"status": "ready"}

    @app.post(
        "/api/segment",
        summary="Segment an image",
        tags=["segmentation"],
        response_model=Answer,
        responses={status: {"model": ProblemBody, "description": text} for status, text in PROBLEMS.items()},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": uploads.FORM_SCHEMA},
                    "application/json": {"schema": SegmentBody.model_json_schema()},
                },
            }
        },
    )
    async def segment(request: Request) -> Answer:
        try:
            async with asyncio.timeout(config.timeout_seconds):
                return await _answer(await read_upload(request, config), config, ask)
        except TimeoutError:
            message = f"not done within {config.timeout_seconds:g} s; take a smaller image or fewer names, or try later"
            raise Problem(504, "timeout", message) from None
        except (Problem, HTTPException):
            raise
        except ClientDisconnect:
            raise Problem(400, "disconnected", "the request ended before all of it had come") from None
        except Exception as error:
            logger.exception("a request failed")
            message = f"the server failed: {type(error).__name__}; its log says more"
            raise Problem(500, "failed", message) from None

    return app


async def _answer(upload: Upload, config: ServeConfig, ask: Ask) -> Answer:
    times = [time.perf_counter()]
    image = await asyncio.to_thread(uploads.read_image, upload.image, config.max_pixels)
    times.append(time.perf_counter())
    sha256 = hashlib.sha256(upload.image).hexdigest()
    reply, segmented = await _asked(ask, bytes(image.data), upload.classes, sha256)
    times.append(time.perf_counter())
    drawn = await asyncio.to_thread(draw, segmented, upload.classes)
    times.append(time.perf_counter())
    decoding, asking, drawing = (end - start for start, end in pairwise(times))
    timing = Timing(
        decode=decoding,
        wait=max(0.0, asking - reply.seconds),
        models=reply.seconds,
        draw=drawing,
        total=times[-1] - times[0],
        batch=reply.batch,
    )
    return Answer(**drawn, timing=timing)


async def _asked(ask: Ask, jpeg: bytes, classes: Classes, sha256: str) -> tuple[Reply, Segmented]:
    """What the models say, and what they made of the image.

    Raises:
        Problem: they do not answer, or cannot use the image or the classes.
    """
    try:
        reply = await ask(jpeg, classes, sha256)
    except BackPressureError:
        raise Problem(503, "busy", "too many requests are waiting; try again in a few seconds") from None
    except (DeploymentUnavailableError, RayActorError):
        raise Problem(503, "not_ready", "the models are not there, or are being loaded again; try again") from None
    except Exception as error:
        logger.exception("the models failed")
        raise Problem(500, "failed", f"the models failed: {type(error).__name__}; the server's log says more") from None
    if isinstance(reply.result, ImageProblem):
        raise Problem(422, reply.result.reason, f"image: {reply.result}")
    if isinstance(reply.result, UserError):
        raise Problem(422, "classes", str(reply.result))
    return reply, reply.result


def _add_page(app: FastAPI, config: ServeConfig) -> None:
    environment = Environment(loader=PackageLoader(__package__, "page"), autoescape=True, undefined=StrictUndefined)
    html = environment.get_template("index.html").render(config=config, formats=", ".join(FORMATS))
    folder = files(__package__) / "page"
    contents = {
        "look.css": ("text/css", static(STYLE)),
        "page.css": ("text/css", folder.joinpath("page.css").read_text()),
    }
    for name in ("page.js", "picture.js", "results.js", "masks.js"):
        contents[name] = ("text/javascript", folder.joinpath(name).read_text())
    headers = {"Cache-Control": "no-cache"}

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(html, headers=headers)

    @app.get("/page/{name}", include_in_schema=False)
    async def part(name: str) -> Response:
        if name not in contents:
            raise HTTPException(404)
        kind, text = contents[name]
        return Response(text, media_type=kind, headers=headers)


async def _send_problem(request: Request, problem: Problem) -> JSONResponse:
    headers = {"Retry-After": _RETRY_SECONDS} if problem.status == 503 else None
    body = ProblemBody(error=problem.code, message=problem.message)
    return JSONResponse(body.model_dump(), problem.status, headers)


async def _send_http_error(request: Request, error: HTTPException) -> JSONResponse:
    body = ProblemBody(error="form" if error.status_code == 400 else "http", message=str(error.detail))
    return JSONResponse(body.model_dump(), error.status_code, error.headers)
