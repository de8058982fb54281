"""From values to one HTML file that holds everything it needs."""

import base64
import hashlib
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipeline import storage
from pipeline.report import formats

STYLE = "page.css"


def render(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """A page made of a template of `pipeline/report/templates`, which extends `base.html`.

    Whatever `values` holds is escaped. The page's security policy allows its own style, its own scripts and images in
    data URLs, and nothing else, so a text that gets through unescaped still does nothing.

    Args:
        scripts: names of files in `pipeline/report/static`, run in this order when the page's elements are there but
            for those of the block `data`.
    """
    inlined = [static(name) for name in scripts]
    policy = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": _hash(static(STYLE)),
        "script-src": " ".join(map(_hash, inlined)) or "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return (
        _environment()
        .get_template(template)
        .render(
            policy="; ".join(f"{directive} {sources}" for directive, sources in policy.items()),
            style=Markup(static(STYLE)),
            scripts=[Markup(script) for script in inlined],
            **values,
        )
    )


def write_page(html: str, uri: str) -> None:
    """Write a page to any fsspec URI; on object stores with the content type that makes browsers show it.

    Raises:
        OSError: nothing was written.
    """
    # The stores' clients tell the type by the name of the file that they are given.
    with tempfile.NamedTemporaryFile(suffix=".html") as file:
        file.write(html.encode())
        file.flush()
        storage.upload(file.name, uri)


def page_uri(to: str) -> str:
    """Where a page goes: `to` itself if it names an HTML file, else `index.html` in that folder."""
    return to if to.endswith((".html", ".htm")) else storage.join(to, "index.html")


def data_url(image: bytes, kind: str = "jpeg") -> str:
    """An encoded image as a URL that holds it; `kind`: jpeg, png or webp."""
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


@cache
def static(name: str) -> str:
    """The text of a file of `pipeline/report/static`."""
    return files(__package__).joinpath("static", name).read_text()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Everything outside ASCII is escaped, too, and with it what ends a line in JavaScript.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "separators": (",", ":")}
    environment.filters |= {"number": formats.number, "share": formats.share, "bytes": formats.size}
    return environment


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
