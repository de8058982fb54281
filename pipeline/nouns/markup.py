"""What captions from web pages contain beside words: entities, tags, addresses, file names, percent-encoding."""

import re
from html import unescape
from html.entities import html5

from pipeline.nouns.mapped_text import MappedText

# Pages are escaped once too often, and then once more: "&amp;amp;quot;".
_TIMES_ESCAPED = 3
_ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31})(;?)")
# Beside those that HTML itself allows without a semicolon, such as "&nbsp" and "&quot".
_WITHOUT_SEMICOLON = frozenset({"apos", "hellip", "ldquo", "lsquo", "mdash", "ndash", "rdquo", "rsquo"})
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt])")

_ELEMENTS = """
    a abbr acronym address article aside audio b base bdi bdo big blockquote body br button canvas caption center cite
    code col colgroup dd del details dfn div dl dt em embed fieldset figcaption figure font footer form frame h1 h2 h3
    h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link main map mark meta nav nobr noscript
    object ol option p param picture pre q s samp script section select small source span strike strong style sub
    summary sup svg table tbody td textarea tfoot th thead time title tr tt u ul unk var video wbr
"""
_IS_ELEMENT = frozenset(_ELEMENTS.split())
_NOT_SHOWN = re.compile(r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>|<[!?][^<>]*>|<\|[^<>|]*\|>", re.S | re.I)
_TAG = re.compile(r"<(/?)([A-Za-z][\w:-]*)(?:\s*/?|\s(?=([^<>]*=)?)[^<>]*)>")
_CUT_OFF_TAG = re.compile(r"<(?:/[A-Za-z]*|br|[A-Za-z]+\s(?=[^<>]*=)[^<>]*)\s*$", re.I)

_TO_THE_END = r"[^\s<>\"\[\]{}()]*"
_ADDRESS = re.compile(
    rf"(?<!\w)(?:[A-Za-z][A-Za-z0-9+.-]{{1,20}}://|www\.|data:\w+/|mailto:){_TO_THE_END}"
    r"|(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w@.-])(?:[\w-]+\.)+(?:com|net|org|edu|gov|mil|info|biz|io|co\.\w\w|ru|html?|php|aspx?)"
    rf"(?![\w-])(?:[/:?#]{_TO_THE_END})?",
    re.I,
)
_NAME_OF_A_PERSON = re.compile(r"(?<!\w)@\w[\w.]*")

_HASHTAGS_AT_THE_END = re.compile(r"(?:(?<!\w)#\w+[\s,.;!]*)+$")
_HASHTAGS_AT_THE_START = re.compile(r"^\s*(?:#\w+[\s,]*){2,}")
_FIRST_HASHTAG = re.compile(r"#\w+")
# A hashtag after one of these is a word of the sentence: "walking my #dog".
_BEFORE_A_WORD = """
    a an and at by for from her his in its my near of on our some that the their these this those to two three with
    your
"""
_IS_BEFORE_A_WORD = frozenset(_BEFORE_A_WORD.split())

_FILE = re.compile(
    r"(?<![\w.+-])[\w+-]+(?:\.[\w+-]+)*\.(?:jpe?g|jfif|png|gif|bmp|webp|tiff?|hei[cf]|avif|svg|psd|cr2|nef|dng|pdf|mp4|mov"
    r"|avi|mkv|webm|docx?|pptx?)(?!\w)",
    re.I,
)
_PART_OF_A_FILE_NAME = re.compile(r"[^\W_]+")
_FROM_A_CAMERA = re.compile(
    r"(?<!\w)(?:_?(?:IMG|MG|DSC[FN]?|DCIM|MVI|VID|PXL|P|GOPR|SAM|CIMG|PICT|WP|Screenshot|Scan)[-_]?\d{3,}"
    r"|(?:IMG|VID|PXL|Screenshot)_)[\d_.-]*(?!\w)",
    re.I,
)

_HEX = "[0-9A-Fa-f]"
_NEXT = f"%[89ABab]{_HEX}"  # of the bytes of one character in UTF-8, all but the first
_BYTES = f"%(?:[0-7]{_HEX}|[CDcd]{_HEX}{_NEXT}|[Ee]{_HEX}(?:{_NEXT}){{2}}|[Ff][0-7](?:{_NEXT}){{3}})"
_ENCODED = re.compile(_BYTES)
_ENCODED_NO_PERCENTAGE = re.compile(rf"(?:(?<!\d)|(?<=%{_HEX}{_HEX})){_BYTES}")  # and not "50%20"
_SPACE = re.compile(r"\s")
_PLUS = re.compile(r"\+")
_SLUG = re.compile(r"^[\w']+(?:-[\w']+){2,}$")


def unescape_entities(text: MappedText) -> None:
    r"""Put "&" for "&amp;", also for "&amp;amp;", and what JSON's \\n and \\u00e9 stand for."""
    if "\\" in text.text:
        text.replace(_JSON_ESCAPE, lambda match: chr(int(match.group(1), 16)) if match.group(1) else " ")
    for _ in range(_TIMES_ESCAPED):
        if "&" not in text.text or not text.replace(_ENTITY, _character):
            return


def _character(match: re.Match[str]) -> str:
    name, semicolon = match.groups()
    if name.startswith("#"):
        return unescape(f"&{name};")
    for known in (name, name.lower()):  # titles are written with "&Amp;" and "&NBSP;"
        if (semicolon or known in _WITHOUT_SEMICOLON) and f"{known};" in html5:
            return html5[f"{known};"]
        if known in html5:
            return html5[known] + semicolon
    return match.group()


def remove_tags(text: MappedText) -> None:
    """Put a space for every tag of HTML, with what no browser shows; "a < b" and "<ball>" are no tags."""
    if "<" not in text.text:
        return
    text.replace(_NOT_SHOWN, " ")
    text.replace(_TAG, _tag)
    text.replace(_CUT_OFF_TAG, " ")


def _tag(match: re.Match[str]) -> str:
    closing, name, attributes = match.groups()
    name = name.lower()
    if name == "wbr":  # where a long word may be broken
        return ""
    is_tag = closing or attributes or ":" in name or name in _IS_ELEMENT or f"</{name}>" in match.string.lower()
    return " " if is_tag else match.group()


def remove_addresses(text: MappedText) -> None:
    """Put a space for addresses of pages, of mail and of people (@name), and for hashtags that only label."""
    if "." in text.text or "@" in text.text or ":" in text.text:
        text.replace(_ADDRESS, " ")
    if "@" in text.text:
        text.replace(_NAME_OF_A_PERSON, " ")
    if "#" in text.text:
        text.replace(_HASHTAGS_AT_THE_END, _label)
        text.replace(_HASHTAGS_AT_THE_START, " ")


def _label(match: re.Match[str]) -> str:
    before = match.string[: match.start()].split()
    if not before or before[-1].lower() not in _IS_BEFORE_A_WORD:
        return " "
    first = _FIRST_HASHTAG.match(match.group())
    assert first is not None  # what was matched begins with one
    return first.group().ljust(len(match.group()))


def decode_percents(text: MappedText) -> bool:
    """Put a space for "%20", as titles taken from addresses have it; says whether the text changed.

    A text without any space is an address as a whole: its plus signs, and hyphens if it has several, are spaces too.
    """
    one_word = not _SPACE.search(text.text)
    encoded = _ENCODED if one_word else _ENCODED_NO_PERCENTAGE
    decoded = "%" in text.text and text.replace(encoded, _decode)
    if decoded:
        text.replace(encoded, _decode)  # "%2520"
    if decoded or one_word:
        text.replace(_PLUS, " ")
        text.replace(_SLUG, lambda match: match.group().replace("-", " "))
    return decoded


def _decode(match: re.Match[str]) -> str:
    return bytes.fromhex(match.group().replace("%", "")).decode("utf8", errors="replace")


def remove_file_names(text: MappedText) -> None:
    """Put spaces for names that cameras give (IMG_1234.jpg); of other files keep the words ("red_ball.jpg")."""
    if "." in text.text:
        text.replace(_FILE, _words)
    text.replace(_FROM_A_CAMERA, " ")


def _words(match: re.Match[str]) -> str:
    stem = match.group().rpartition(".")[0]
    words = [" "] * len(match.group())
    if _FROM_A_CAMERA.match(stem):
        return "".join(words)
    for part in _PART_OF_A_FILE_NAME.finditer(stem):
        if part.group().isalpha():
            words[part.start() : part.end()] = part.group()
    return "".join(words)
