"""Backend `mined`: exactly what was kept, found by id, and nothing of tables that were changed."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.captions.listed_ids import ListedIds
from pipeline.errors import UserError
from pipeline.images import ImageProblem
from pipeline.proposals import ProposalsConfig, load_proposer
from pipeline.proposals.mined import Mined
from tests.proposals.kept_dataset import write_kept_dataset

# Numbers, sorted as COCO's are: the ranges of the shards overlap as text.
IDS = [str(number) for number in range(1, 15)]
REJECTED = "5"


def masks_of(image_id: str) -> np.ndarray:
    """bool [K,H,W], another number and another size for each image."""
    number = int(image_id)
    masks_KHW = np.random.default_rng(number).random((1 + number % 4, 10 + number, 12)) < 0.5
    masks_KHW[:, 0, 0] = True
    return masks_KHW


def picture(image_id: str) -> np.ndarray:
    return np.zeros((*masks_of(image_id).shape[1:], 3), np.uint8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    proposals = {name: masks_of(name) for name in IDS if name != REJECTED}
    return write_kept_dataset(tmp_path_factory.mktemp("kept"), IDS, proposals)


@pytest.fixture
def copied(made, tmp_path):
    shutil.copytree(made.uri, tmp_path / "copy")
    return tmp_path / "copy"


def backend(folder, **limits) -> Mined:
    return load_proposer(ProposalsConfig("mined", {"dataset": str(folder)}, **limits))


def test_every_image_gets_what_was_kept_in_any_order(made):
    proposer = backend(made.uri)
    for name in [*IDS, *reversed(IDS), *np.random.default_rng(0).permutation(IDS)]:
        if name == REJECTED:
            continue
        [found] = proposer.propose([picture(name)], [name])
        np.testing.assert_array_equal(found.masks.decode().astype(bool), masks_of(name))
        np.testing.assert_array_equal(found.scores, np.linspace(1, 0.5, len(masks_of(name)), dtype=np.float32))
        assert len(proposer._held) <= 4


def test_images_that_are_unknown_rejected_there_or_of_another_size_cost_themselves(made):
    proposer = backend(made.uri)
    for name, size, reason in (
        ("99", (5, 5), "not_mined"),
        (REJECTED, (15, 12), "no_proposals"),
        ("7", (17, 13), "proposals_size"),
    ):
        with pytest.raises(ImageProblem) as problem:
            proposer.propose([np.zeros((*size, 3), np.uint8)], [name])
        assert problem.value.reason == reason
        assert problem.value.detail
    assert proposer.knows("7")
    assert not proposer.knows("99")


def test_the_identity_is_the_tables_and_the_backend_that_made_them(made, copied):
    identity = backend(made.uri).identity
    assert identity == backend(copied).identity
    assert {"name": "mined", "original_name": "segments", "original_version": "7"}.items() <= identity.items()
    description = yaml.safe_load((copied / "config.yaml").read_text())
    description["models"]["proposals"] = identity
    (copied / "config.yaml").write_text(yaml.safe_dump(description))
    assert backend(copied).identity == identity  # however often it was copied on


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"keep_proposals": False}, "keep_proposals: true"), ({"shards": {"images_per_shard": "3"}}, "images_per_shard")],
)
def test_datasets_that_cannot_be_used_are_refused(changes, said, tmp_path):
    write_kept_dataset(tmp_path, IDS[:4], {}, **changes) if "shards" not in changes else None
    if "shards" in changes:
        write_kept_dataset(tmp_path, IDS[:4], {})
        description = yaml.safe_load((tmp_path / "config.yaml").read_text())
        description["configuration"] |= changes
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(UserError, match=said):
        backend(tmp_path)


def test_what_is_no_complete_dataset_is_refused(copied, tmp_path):
    with pytest.raises(UserError, match=r"proposals\.options\.dataset"):
        backend(tmp_path / "nothing")
    with pytest.raises(UserError, match=r"proposals\.options\.dataset is missing"):
        load_proposer(ProposalsConfig("mined"))
    (copied / "dataset.json").unlink()
    with pytest.raises(UserError, match="not complete"):
        backend(copied)


def test_a_listed_table_that_is_missing_from_the_totals_is_damage(copied):
    totals = json.loads((copied / "dataset.json").read_text())
    del totals["files"]["proposals/000001.parquet"]
    (copied / "dataset.json").write_text(json.dumps(totals))
    with pytest.raises(UserError, match=r"does not list proposals/000001\.parquet"):
        backend(copied)


@pytest.mark.parametrize("damage", ["cut", "missing", "foreign", "flipped"])
def test_changed_tables_are_refused_and_no_image_is_blamed(damage, copied):
    proposer, table = backend(copied), copied / "proposals" / "000001.parquet"
    data = table.read_bytes()
    if damage == "missing":
        table.unlink()
    else:
        other = (copied / "proposals" / "000000.parquet").read_bytes()
        flipped = data[:100] + bytes([data[100] ^ 1]) + data[101:]
        table.write_bytes({"cut": data[:-30], "foreign": other, "flipped": flipped}[damage])
    with pytest.raises(UserError, match=r"000001\.parquet is damaged"):
        proposer.propose([picture("4")], ["4"])
    assert proposer.propose([picture("1")], ["1"])[0].masks


def test_other_limits_than_those_of_the_dataset_are_refused(made):
    backend(made.uri, max_proposals=50)  # its own
    backend(made.uri, max_proposals=100)  # the default, which means nothing in particular
    with pytest.raises(UserError, match=r"proposals\.max_proposals: 7, but .* were made with 50"):
        backend(made.uri, max_proposals=7)


@settings(deadline=None, max_examples=20)
@given(ids=st.lists(st.text(max_size=6), unique=True, max_size=40), per_shard=st.integers(1, 5))
def test_the_index_finds_every_image_of_the_listing(ids, per_shard, tmp_path_factory):
    layout = write_kept_dataset(tmp_path_factory.mktemp("listed"), ids, {}, per_shard)
    index = ListedIds(layout.uri, per_shard)
    assert len(index) == len(ids)
    for place, name in enumerate(ids):
        assert place // per_shard in index.shards(name)
    assert index.shards("no such image") == []


def test_more_shards_than_a_file_of_the_listing_has(tmp_path):
    ids = [str(number) for number in range(150)]
    layout = write_kept_dataset(tmp_path, ids, {}, 2)
    assert len(storage.list_names(storage.join(layout.uri, "listing"))) == 2
    index = ListedIds(layout.uri, 2)
    assert [index.shards(name) for name in ids] == [[place // 2] for place in range(150)]


def test_ids_with_secrets_are_found_as_tables_show_them(tmp_path):
    layout = write_kept_dataset(tmp_path, ["https://user:word@host/a.jpg"], {})
    assert ListedIds(layout.uri, 3, shown=True).shards("https://…@host/a.jpg") == [0]


def test_a_damaged_listing_is_told(tmp_path):
    layout = write_kept_dataset(tmp_path, IDS[:4], {})
    (tmp_path / "listing" / "000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="listing/000000"):
        ListedIds(layout.uri, 3)
    (tmp_path / "listing" / "000000.parquet").unlink()
    with pytest.raises(UserError, match="no listing"):
        ListedIds(layout.uri, 3)


def test_the_ids_of_a_listing_take_twelve_bytes_each(tmp_path):
    uri = write_kept_dataset(tmp_path, IDS, {}).uri
    before = pa.total_allocated_bytes()
    index = ListedIds(uri, 3)
    assert index._hashes_I.nbytes + index._shards_I.nbytes == 12 * len(IDS)
    assert pa.total_allocated_bytes() < before + 2**20
