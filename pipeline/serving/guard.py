"""Who may ask: requests under this server's own names, from its own page or from programs.

A browser does what any page tells it to. A foreign page can send requests to a server on this machine, and if the
page's own name is made to lead here (DNS rebinding) it can read the answers, too. What a page cannot change is that
the browser says under which name (`Host`) and from which page (`Origin`) it asks.
"""

import json
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.serving.hosts import HOST, address, is_any, plain
from pipeline.serving.problems import Problem, ProblemBody

_PORTS = {"http": 80, "https": 443}
_HARMLESS = ("GET", "HEAD")
# All that is looked at here. Ray Serve takes headers of its own from anybody, and fails where they are not text.
_READ = (b"host", b"origin", b"sec-fetch-site", b"content-type", b"content-length")
_SHOWN = 100
_VARIABLE = "OVSEG_SERVE_GUARD"
_POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    )
)  # fmt: skip
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware: refuses requests of foreign pages and names, and tells browsers what answers may be used for.

    A request is refused
    - with 421 if its `Host` is not one of localhost, an address of the loopback, `host`, and `hosts`. Where the server
      listens at all addresses of its machine, any IP address will do: what is typed as numbers cannot be rebound.
    - with 403 if it says that it comes from another page than this server's.

    It stands before the application, and before Ray Serve's proxy, which answers some addresses itself.
    """

    def __init__(self, app: ASGIApp, host: str, hosts: Sequence[str]):
        """
        Args:
            host: where the server listens, a name or an address.
            hosts: further names.
        """
        self._app = app
        self._everywhere = is_any(host)
        self._further = {plain(name) for name in hosts}
        self._names = {"localhost", plain(host), *self._further}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check(Headers(scope=scope), scope.get("method", ""), scope.get("scheme", "http"))
        except Problem as problem:
            body = ProblemBody(error=problem.code, message=problem.message).model_dump()
            await JSONResponse(body, problem.status)(scope, receive, sent)
        else:
            headers = [(name, value) for name, value in scope["headers"] if name.lower() in _READ]
            await self._app({**scope, "headers": headers}, receive, sent)

    def _check(self, headers: Headers, method: str, scheme: str) -> None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        found = HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if not found or not self._known(name := plain(found[1])):
            said = ", ".join(hosts)[:_SHOWN]
            raise Problem(
                421,
                "host",
                f"this server does not answer under the name {said!r}; if it is one of its names, whoever runs it adds "
                "it to serve.hosts",
            )
        own = scheme, name, int(found[2] or _PORTS.get(scheme, 0))
        if origins and not (len(origins) == 1 and self._is_own(origins[0], own)):
            said = ", ".join(origins)[:_SHOWN]
            raise Problem(
                403,
                "origin",
                f"this request comes from a page of {said!r}, and only the server's own page may ask; if that is one "
                "of its names, whoever runs it adds it to serve.hosts",
            )
        # Browsers say so even where they leave out the origin.
        if method not in _HARMLESS and headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Problem(403, "origin", "this request comes from a page of another site")

    def _known(self, name: str) -> bool:
        found = address(name)
        return name in self._names or (found is not None and (found.is_loopback or self._everywhere))

    def _is_own(self, origin: str, own: tuple[str, str, int]) -> bool:
        try:
            parts = urlsplit(origin)
            asking = parts.scheme, plain(parts.hostname or ""), parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError:
            return False
        # A proxy that encrypts, or that asks this server under another name, is named in `hosts`.
        return asking == own or (parts.scheme in _PORTS and asking[1] in self._further)


def proxy_environment(host: str, hosts: Sequence[str]) -> dict[str, str]:
    """The environment variables by which Ray Serve's proxy gets a `Guard`: its only way to take a middleware."""
    return {
        "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": f"{__name__}:proxy_middlewares",
        _VARIABLE: json.dumps({"host": host, "hosts": list(hosts)}),
    }


def proxy_middlewares() -> list[Middleware]:
    """Called by Ray Serve in its proxy."""
    return [Middleware(Guard, **json.loads(os.environ[_VARIABLE]))]
