"""Samples read without tarfile are what tarfile reads; whatever is not plain is left to it."""

import io
import tarfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.dataset.plain_tar import plain_members
from pipeline.dataset.sample import DamagedSampleError, unpack
from pipeline.dataset.shards import ShardsConfig, write_tar
from tests.shard_samples import make_sample, rectangle


def read_by_tarfile(data: bytes) -> dict[str, bytes] | None:
    """None: it refuses them, or a member is no file."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            return {member.name: tar.extractfile(member).read() for member in tar}
    except (tarfile.TarError, OSError, ValueError, AttributeError):
        return None


def sample() -> bytes:
    """As mining writes it."""
    file = io.BytesIO()
    [row] = write_tar([make_sample(rectangle(20, 30, 2, 3, 15, 25))], ShardsConfig(), file)
    return file.getvalue()[: row["tar_length"]]


SAMPLE = sample()


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.USTAR_FORMAT) -> bytes:
    """Without the blocks of zeros that end a tar, and the padding behind them."""
    parts = []
    for info, content in members:
        info.size = len(content)
        parts += [info.tobuf(format), content, bytes(-len(content) % 512)]
    return b"".join(parts)


def info(name: str, **fields) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(made, field, value)
    return made


def test_a_sample_is_plain():
    members = plain_members(SAMPLE)
    assert members == read_by_tarfile(SAMPLE)
    assert list(members) == [f"000000-00000-000.{kind}" for kind in ("jpg", "json", "mask.png", "txt")]


names = st.text(st.characters(min_codepoint=1, max_codepoint=300), min_size=1, max_size=120)


@given(
    st.lists(st.tuples(names, st.binary(max_size=1100), st.integers(0, 2**33)), max_size=4),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.sampled_from([b"", bytes(512), bytes(1024), b"x" * 512]),
)
@example([("a.jpg", b"", 0)], tarfile.GNU_FORMAT, b"")
@settings(deadline=None)
def test_tars_of_others_are_read_alike_or_left_alone(members, format, ending):
    try:
        data = tar_of([(info(name, mtime=time), content) for name, content, time in members], format) + ending
    except ValueError:  # a name that this format has no room for
        return
    found = plain_members(data)
    assert found is None or found == read_by_tarfile(data)
    short = all(name.isascii() and len(name) <= 100 and not name.endswith("/") for name, *_ in members)
    if members and short and not ending and format != tarfile.PAX_FORMAT:
        assert found is not None


@given(st.data())
@settings(deadline=None, max_examples=400)
def test_a_byte_that_changed_is_noticed_as_by_tarfile(data):
    """In a header, which is what is read here; of contents the manifest has a checksum."""
    offset = data.draw(st.sampled_from(headers())) + data.draw(st.integers(0, 511))
    changed = bytearray(SAMPLE)
    changed[offset] = data.draw(st.integers(0, 255))
    # Most changes end at the checksum; these also meet the checks behind it.
    header = offset // 512 * 512
    if data.draw(st.booleans()) and not 148 <= offset - header < 156:
        total = sum(changed[header : header + 148]) + 256 + sum(changed[header + 156 : header + 512])
        changed[header + 148 : header + 156] = b"%06o\0 " % total
    found = plain_members(bytes(changed))
    assert found is None or found == read_by_tarfile(bytes(changed))


def headers() -> list[int]:
    with tarfile.open(fileobj=io.BytesIO(SAMPLE)) as tar:
        return [member.offset for member in tar]


@given(st.integers(0, len(SAMPLE) - 1))
@settings(deadline=None)
def test_a_sample_cut_short_is_left_to_tarfile(length):
    assert plain_members(SAMPLE[:length]) in (None, read_by_tarfile(SAMPLE[:length]))
    if length > headers()[-1]:
        assert plain_members(SAMPLE[:length]) is None


@pytest.mark.parametrize(
    "type", [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE]
)
def test_what_is_no_plain_file_is_left_to_tarfile(type):
    assert plain_members(tar_of([(info("a.jpg", type=type), b"")])) is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty file"),
        (SAMPLE[:300], "truncated header"),
        (SAMPLE[:700], "unexpected end of data"),
        (b"x" * 512 + SAMPLE[512:], "invalid header"),
        (tar_of([(info("a", type=tarfile.DIRTYPE), b"")]), "a member is no file"),
    ],
)
def test_damage_is_told_in_the_words_of_tarfile(data, message):
    with pytest.raises(DamagedSampleError, match=f"^{message}$"):
        unpack(data)
