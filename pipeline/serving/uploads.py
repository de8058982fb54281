"""What arrives: an image and class names, as a form or as JSON, within limits."""

import base64
import binascii
import re
from dataclasses import dataclass

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import UserError
from pipeline.images import FORMATS, ImageProblem, ImagesConfig, UprightJpeg, read_upright
from pipeline.segmentation.classes import parse_classes
from pipeline.serving.config import ServeConfig
from pipeline.serving.problems import Problem

_MEGABYTE = 10**6
_NAME_LENGTH = 200
_LENGTH = re.compile("[0-9]{1,18}")


class SegmentBody(BaseModel):
    """The JSON form of a request."""

    image: str = Field(description="The bytes of an image file, in base64.")
    classes: str | list[str] = Field(
        description="What to look for: a text with commas between classes and slashes between synonyms, or one string "
        "per class, with commas between synonyms.",
        examples=["dog, sofa/couch, floor", ["dog", "sofa, couch", "floor"]],
    )


FORM_SCHEMA = {
    "type": "object",
    "required": ["image", "classes"],
    "properties": {
        "image": {
            "type": "string",
            "contentMediaType": "application/octet-stream",
            "description": f"An image file: {', '.join(FORMATS)}.",
        },
        "classes": {
            "type": "string",
            "description": "What to look for: commas between classes, slashes between synonyms.",
            "examples": ["dog, sofa/couch, floor"],
        },
    },
}
"""The form, as JSON schema."""


@dataclass(frozen=True)
class Upload:
    """An image file and the names of each class."""

    image: bytes
    classes: tuple[tuple[str, ...], ...]


class BodyLimit:
    """ASGI middleware: a request with more bytes ends with a `Problem` (413) as soon as they are seen."""

    def __init__(self, app: ASGIApp, megabytes: float):
        self._app = app
        self._megabytes = megabytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and count what it sends."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._megabytes * _MEGABYTE:
                raise _too_large(self._megabytes)
            return message

        await self._app(scope, counted, send)


async def read_upload(request: Request, config: ServeConfig) -> Upload:
    """The image and the classes of a request.

    Raises:
        Problem: it is too large, in another form, or without usable classes.
    """
    if (length := request.headers.get("content-length")) is not None:
        if not _LENGTH.fullmatch(length):
            raise Problem(400, "content_length", "the content length is not a number of bytes")
        if int(length) > config.max_megabytes * _MEGABYTE:
            raise _too_large(config.max_megabytes)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    classes: str | list[str]
    if kind == "multipart/form-data":
        image, classes = await _from_form(request)
    elif kind == "application/json":
        image, classes = _from_json(await request.body())
    else:
        raise Problem(415, "content_type", f"{kind or 'no content type'}: send multipart/form-data or application/json")
    return Upload(image, _classes(classes, config.max_names))


async def _from_form(request: Request) -> tuple[bytes, str]:
    async with request.form(max_files=1, max_fields=1) as form:
        image, classes = form.get("image"), form.get("classes")
        if not isinstance(image, UploadFile):
            raise Problem(422, "no_image", "image: there is no file of this name in the form")
        if not isinstance(classes, str):
            raise Problem(422, "classes", "classes: there is no text of this name in the form")
        return await image.read(), classes


def _from_json(body: bytes) -> tuple[bytes, str | list[str]]:
    try:
        parsed = SegmentBody.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise Problem(400, "json", f"this is not JSON: {first['msg']}") from None
        where = ".".join(map(str, first["loc"])) or "the body"
        raise Problem(422, "json", f"{where}: {first['msg']}") from None
    try:
        return base64.b64decode(parsed.image, validate=True), parsed.classes
    except (binascii.Error, ValueError) as error:
        raise Problem(422, "base64", f"image: this is not base64: {error}") from None


def _classes(written: str | list[str], most: int) -> tuple[tuple[str, ...], ...]:
    if sum(map(len, written)) > most * _NAME_LENGTH:
        raise Problem(422, "classes", f"classes: this text is too long for the {most} names that a request may have")
    try:
        classes = parse_classes(written)
    except UserError as error:
        raise Problem(422, "classes", str(error)) from None
    names = [name for names in classes for name in names]
    if len(names) > most:
        raise Problem(422, "classes", f"classes: {len(names)} names are given, at most {most} are allowed here")
    for name in names:
        if len(name) > _NAME_LENGTH:
            raise Problem(422, "classes", f"classes: {name[:20]!r}… is longer than {_NAME_LENGTH} characters")
    return tuple(classes)


def read_image(data: bytes, max_pixels: int) -> UprightJpeg:
    """The upright image of a file.

    Raises:
        Problem: it is not an image of `FORMATS`, is damaged, or has more pixels than `max_pixels` by what its header
            says.
    """
    try:
        return read_upright(data, ImagesConfig(max_side=0, min_side=1, max_pixels=max_pixels))
    except ImageProblem as problem:
        if problem.reason in ("empty_file", "not_an_image"):
            known, found = ", ".join(FORMATS), problem.detail or "it is empty"
            message = f"image: this file is none of {known}, or is damaged: {found}"
            raise Problem(422, "not_an_image", message) from None
        if problem.reason == "too_many_pixels":
            raise Problem(
                413,
                problem.reason,
                f"image: {problem.detail.partition(',')[0]} pixels are more than the "
                f"{max_pixels:,} that are allowed here; make it smaller",
            ) from None
        raise Problem(422, problem.reason, f"image: {problem.reason.replace('_', ' ')}: {problem.detail}") from None


def _too_large(megabytes: float) -> Problem:
    return Problem(413, "too_many_bytes", f"the request is larger than the {megabytes:g} MB that are allowed here")
