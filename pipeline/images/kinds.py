"""Which kind a file is, by its first bytes: names lie, and errors should say what was found."""

import re

from pipeline.images import directory

_READ = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
)
_NETPBM = re.compile(rb"P[1-6][\s#]")
_CONVERT = "; convert it to JPEG or PNG"
_OTHERS = (
    (b"\0\0\0\x0cjP  ", f"JPEG 2000{_CONVERT}"),
    (b"\xff\x4f\xff\x51", f"JPEG 2000{_CONVERT}"),
    (b"\0\0\0\x0cJXL ", f"JPEG XL{_CONVERT}"),
    (b"\xff\x0a", f"JPEG XL{_CONVERT}"),
    (b"8BPS", f"a Photoshop document (PSD){_CONVERT}"),
    (b"8BPB", f"a Photoshop document (PSB){_CONVERT}"),
    (b"%!PS", f"PostScript (EPS), a program and no image{_CONVERT}"),
    (b"\xc5\xd0\xd3\xc6", f"PostScript (EPS), a program and no image{_CONVERT}"),
    (b"%PDF", f"a PDF document{_CONVERT}"),
    (b"FUJIFILMCCD-RAW", f"a camera's raw file (RAF){_CONVERT}"),
    (b"IIU\0", f"a camera's raw file (RW2){_CONVERT}"),
    (b"IIRO", f"a camera's raw file (ORF){_CONVERT}"),
    (b"IIRS", f"a camera's raw file (ORF){_CONVERT}"),
    (b"\0\0\x01\0", f"an icon (ICO){_CONVERT}"),
    (b"icns", f"an icon (ICNS){_CONVERT}"),
    (b"DDS ", f"a texture (DDS){_CONVERT}"),
    (b"qoif", f"QOI{_CONVERT}"),
    (b"SIMPLE  =", f"FITS{_CONVERT}"),
    (b"\x76\x2f\x31\x01", f"OpenEXR{_CONVERT}"),
    (b"#?RADIANCE", f"Radiance HDR{_CONVERT}"),
    (b"\xd7\xcd\xc6\x9a", f"a Windows metafile (WMF){_CONVERT}"),
    (b"gimp xcf", f"a GIMP document (XCF){_CONVERT}"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"\0\0\x01\xba", "a video (MPEG)"),
    (b"\0\0\x01\xb3", "a video (MPEG)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a rar archive"),
    (b"version https://git-lfs", "a pointer of Git LFS; `git lfs pull` loads the file that it stands for"),
    (b"\0\x05\x16\x07", "what macOS keeps beside a file (AppleDouble)"),
)
# Brands of ISO's file format for media, the box that such files begin with.
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF = {b"avif", b"avis"}
_ANY_CODEC = {b"mif1", b"msf1"}
_MARKUP = (
    (re.compile(rb"<!doctype html|<html|<head|<body|<script", re.IGNORECASE), "an HTML page, perhaps an error's"),
    (re.compile(rb"<(\w+:)?svg", re.IGNORECASE), f"SVG, a drawing and no image of pixels{_CONVERT}"),
    (re.compile(rb"<\?xml|<Error>|<!--", re.IGNORECASE), "an XML document, perhaps an error's"),
    (re.compile(rb"[{\[]"), "JSON, perhaps an error's"),
)
_LOOKED_AT = 1024


def image_kind(data: bytes) -> tuple[str, str]:
    """Pillow's name of the format, empty if it is none of those that are read, and a description for people."""
    for start, format_ in _READ:
        if data.startswith(start):
            return _tiff(data) if format_ == "TIFF" else (format_, format_)
    if data[:4] == b"RIFF":
        return ("WEBP", "WEBP") if data[8:12] == b"WEBP" else ("", "a video or sound (RIFF)")
    if data[4:8] == b"ftyp":
        return _media(data)
    if _NETPBM.match(data):
        return "PPM", "PPM"
    return "", _other(data)


def _tiff(data: bytes) -> tuple[str, str]:
    if data[8:10] == b"CR":
        return "", f"a camera's raw file (CR2){_CONVERT}"
    first = {entry.tag: directory.whole_number(data, entry) for entry in directory.entries(data)}
    if 0xC612 in first:
        return "", f"a camera's raw file (DNG){_CONVERT}"
    # A small preview comes first, and what the camera saw is in directories below.
    if first.get(0x00FE) == 1 and 0x014A in first:
        return "", f"a camera's raw file (NEF or the like){_CONVERT}"
    return "TIFF", "TIFF"


def _media(data: bytes) -> tuple[str, str]:
    end = min(int.from_bytes(data[:4], "big"), _LOOKED_AT)
    main, others = data[8:12], {data[at : at + 4] for at in range(16, end, 4)}
    if main in _AVIF or (main in _ANY_CODEC and others & _AVIF):
        return "AVIF", "AVIF"
    if main in _HEIF | _ANY_CODEC:
        return "", f"HEIC/HEIF, as phones take photographs{_CONVERT}"
    if main == b"crx ":
        return "", f"a camera's raw file (CR3){_CONVERT}"
    return "", f"a video (MP4 or QuickTime, brand {main.decode('latin-1')!r})"


def _other(data: bytes) -> str:
    for start, name in _OTHERS:
        if data.startswith(start):
            return name
    text = data[:_LOOKED_AT].removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, name in _MARKUP:
        if pattern.match(text):
            # SVG mostly begins as XML, and pages with a comment.
            inside = (found for inner, found in _MARKUP[:2] if inner.search(text))
            return next(inside, name)
    return f"first bytes {data[:8].hex(' ')}"
