"""matplotlib's SVG made fit to stand inside a page: its colours are the page's, its letters are text."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree import ElementTree

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SERIES = 7
"""Colours that can be told apart; see `page.css`."""

# Colours that stand for the page's. An attribute may name a custom property, so light and dark need no second picture.
TEXT, LINE = "#010101", "#020202"
_COLOURS = {TEXT: "currentColor", LINE: "var(--line)"}
_COLOURS |= {f"#0300{number:02x}": f"var(--series-{number})" for number in range(1, SERIES + 1)}

_SVG = "http://www.w3.org/2000/svg"
_HREF = "{http://www.w3.org/1999/xlink}href"
_DROPPED = ("font", "font-family")
_POINTS_PER_INCH = 72

ElementTree.register_namespace("", _SVG)
ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def series(index: int) -> str:
    """The colour of the series with this index; they come round again after the seventh."""
    return f"#0300{index % SERIES + 1:02x}"


@contextmanager
def drawing(name: str, width: float = 380, height: float = 240) -> Iterator[Figure]:
    """A figure of this size (px at a zoom of 1) with one pair of axes, `figure.axes[0]`, in the page's colours.

    Args:
        name: of the chart, unique in its page.
    """
    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
        "font.size": 11,
        "text.color": TEXT,
        "axes.labelcolor": TEXT,
        "axes.edgecolor": LINE,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "grid.color": LINE,
        "grid.linewidth": 0.8,
        "xtick.color": LINE,
        "ytick.color": LINE,
        "xtick.labelcolor": TEXT,
        "ytick.labelcolor": TEXT,
        "lines.linewidth": 2.0,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
    }
    with mpl.rc_context(settings):
        figure = Figure((width / _POINTS_PER_INCH, height / _POINTS_PER_INCH), _POINTS_PER_INCH, layout="constrained")
        FigureCanvasSVG(figure)
        figure.subplots()
        yield figure


def to_svg(figure: Figure, name: str, label: str) -> Markup:
    """The figure as an `<svg>` for a page; call it inside `drawing`.

    An artist with the gid `marker` becomes `class="marker"`, and `data-left` and `data-right` of the svg then say where
    the x axis begins and ends (user units).

    Args:
        label: what a reader who cannot see it is told.
    """
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The browser chooses the letters; whether matplotlib's own font has them does not matter.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _strip(root)
    _rename(root, name)
    for element in root.iter():
        _to_attributes(element)
    for size in ("width", "height", "version"):
        del root.attrib[size]
    root.attrib |= {"role": "img", "aria-label": label, "stroke-linejoin": "round"}
    if root.find(".//*[@class='marker']") is not None:
        position, width = figure.axes[0].get_position(), figure.get_figwidth() * _POINTS_PER_INCH
        root.attrib |= {"data-left": f"{position.x0 * width:.3f}", "data-right": f"{position.x1 * width:.3f}"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _strip(root: ElementTree.Element) -> None:
    """Remove what matplotlib says of itself, and its style sheet, which the page's policy forbids."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)


def _rename(root: ElementTree.Element, name: str) -> None:
    """Keep the ids that something refers to, and make them the chart's own: a page holds many charts."""
    used = {element.get(_HREF, "").removeprefix("#") for element in root.iter()}
    used |= {element.get("clip-path", "").removeprefix("url(#").removesuffix(")") for element in root.iter()}
    for element in root.iter():
        identity = element.attrib.pop("id", None)
        if identity == "marker":
            element.set("class", "marker")
        elif identity in used:
            element.set("id", f"{name}-{identity}")
        if _HREF in element.attrib:
            element.set(_HREF, f"#{name}-{element.attrib[_HREF].removeprefix('#')}")
        if "clip-path" in element.attrib:
            element.set("clip-path", element.attrib["clip-path"].replace("url(#", f"url(#{name}-"))


def _to_attributes(element: ElementTree.Element) -> None:
    """`style="fill: #010101"` as attributes, which the page's policy allows, with the page's colours."""
    style = element.attrib.pop("style", "")
    for declaration in filter(None, map(str.strip, style.split(";"))):
        key, _, value = declaration.partition(":")
        if key == "font":
            element.set("font-size", value.split()[0])
        if key not in _DROPPED:
            element.set(key, _COLOURS.get(value.strip(), value.strip()))
    if element.tag == f"{{{_SVG}}}text":
        element.attrib.setdefault("fill", "currentColor")
