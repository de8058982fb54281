"""Why a request has no answer, as HTTP says it."""

from pydantic import BaseModel, Field


class Problem(Exception):
    """Ends a request with `status`, a short `code` for programs and a message for people."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class ProblemBody(BaseModel):
    """What is sent instead of an answer."""

    error: str = Field(description="A short code that does not change.", examples=["too_many_pixels"])
    message: str = Field(description="What was found and what to do, in one sentence.")


PROBLEMS = {
    400: "The request is not what its content type says.",
    403: "The request comes from a page of another site.",
    413: "The image has too many pixels, or the request too many bytes.",
    415: "The content type is neither multipart/form-data nor application/json.",
    421: "The server is asked under a name that is not its own; see `serve.hosts`.",
    422: "The image or the class names cannot be used; the message says why.",
    500: "The server failed; its log says why.",
    503: "Too many requests are waiting, or the models are not ready. Try again after `Retry-After` seconds.",
    504: "The request took longer than the server allows.",
}
"""Every status that can come instead of an answer, and what it means."""
