"""Reading out of shards, local and remote."""

import multiprocessing
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.training.samples import DataConfig, Samples, select_samples
from pipeline.training.shard_files import ShardFiles
from tests.s3 import s3_environment
from tests.servers.faulty_proxy import FaultyProxy, faulty_proxy
from tests.training.cache_reader import read_at_random
from tests.training.datasets import tar, write_dataset

SHARDS = 5


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), shards=SHARDS)


@pytest.fixture(scope="module")
def samples(dataset) -> Samples:
    return select_samples(str(dataset), DataConfig())


@pytest.fixture
def remote(dataset, s3, s3_uri) -> str:
    """The same dataset on S3."""
    for path in dataset.rglob("*.*"):
        s3.client().upload_file(str(path), s3_uri.removeprefix("s3://"), f"mined/{path.relative_to(dataset)}")
    return f"{s3_uri}/mined"


@pytest.fixture
def proxy(s3) -> Iterator[FaultyProxy]:
    """Whatever this process and its children ask S3 for."""
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        yield proxy


def places(samples: Samples) -> list[tuple[int, int, int]]:
    return list(zip(*(samples.table[name].to_pylist() for name in ("shard", "tar_offset", "tar_length")), strict=True))


def expected_bytes(dataset: Path, place: tuple[int, int, int]) -> bytes:
    shard, offset, length = place
    return tar(dataset, shard).read_bytes()[offset : offset + length]


def in_cache(folder: Path) -> dict[int, int]:
    """Sizes of the shards that lie in a cache."""
    return {int(path.stem.rpartition("-")[2]): path.stat().st_size for path in folder.glob("*.tar")}


def fetched(proxy: FaultyProxy) -> list[int]:
    """The shards that were asked for, once for every GET."""
    paths = [path.partition("?")[0] for method, path in proxy.requests if method == "GET"]
    return sorted(int(path.removesuffix(".tar").rpartition("/")[2]) for path in paths if path.endswith(".tar"))


def test_local_shards_are_read_where_they_are(dataset, samples, tmp_path):
    files = ShardFiles(str(dataset), "", str(tmp_path / "cache"), 1)
    files.fetch(range(SHARDS))
    for place in places(samples):
        assert files.read(*place) == expected_bytes(dataset, place)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(FileNotFoundError, match=r"000099\.tar"):
        files.read(99, 0, 1)


def test_remote_shards_are_fetched_once(dataset, samples, remote, proxy, tmp_path):
    files = ShardFiles(remote, "", str(tmp_path), 10**9)
    for place in reversed(places(samples)):
        assert files.read(*place) == expected_bytes(dataset, place)
    files.fetch(range(SHARDS))
    assert fetched(proxy) == list(range(SHARDS))
    assert in_cache(tmp_path) == {shard: tar(dataset, shard).stat().st_size for shard in range(SHARDS)}
    with pytest.raises(FileNotFoundError):
        files.read(99, 0, 1)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_several_are_fetched_at_a_time(dataset, remote, proxy, tmp_path):
    ShardFiles(remote, "", str(tmp_path), 10**9).fetch([3, 1, 4])
    assert fetched(proxy) == sorted(in_cache(tmp_path)) == [1, 3, 4]


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_the_shard_used_longest_ago_makes_room(dataset, remote, proxy, tmp_path):
    sizes = [tar(dataset, shard).stat().st_size for shard in range(SHARDS)]
    files = ShardFiles(remote, "", str(tmp_path), 3 * max(sizes))
    for shard in (0, 1, 2, 0, 3, 1):  # 3 takes the place of 1, and 1 that of 2
        files.read(shard, 0, 512)
    assert in_cache(tmp_path).keys() == {0, 3, 1}
    assert fetched(proxy) == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_shards_fetched_at_the_same_time_do_not_stay_above_the_limit(dataset, remote, proxy, tmp_path):
    together = threading.Barrier(3)

    def wait_for_the_others(method: str, path: str) -> None:
        if method == "GET":
            together.wait(60)

    proxy.fault = wait_for_the_others
    cache_bytes = 2 * max(tar(dataset, shard).stat().st_size for shard in range(SHARDS))
    ShardFiles(remote, "", str(tmp_path), cache_bytes).fetch([0, 1, 2])
    assert 0 < sum(in_cache(tmp_path).values()) <= cache_bytes


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_what_a_killed_process_left_is_deleted(dataset, remote, tmp_path):
    files = ShardFiles(remote, "", str(tmp_path), 10**9)
    files.read(0, 0, 1)
    [path] = tmp_path.glob("*.tar")
    left = [tmp_path / path.name.replace("000000.tar", f"{shard:06d}.tar.partial") for shard in (1, 2)]
    for partial in left:
        partial.write_bytes(bytes(1000))
    assert files.read(1, 0, 512) == tar(dataset, 1).read_bytes()[:512]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_another_dataset_at_the_same_place_is_fetched_anew(dataset, remote, s3, s3_uri, tmp_path):
    assert ShardFiles(remote, "before", str(tmp_path), 10**9).read(0, 0, 10**6) == tar(dataset, 0).read_bytes()
    s3.client().put_object(Bucket=s3_uri.removeprefix("s3://"), Key="mined/shards/000000.tar", Body=b"mined again")
    assert ShardFiles(remote, "before", str(tmp_path), 10**9).read(0, 0, 10**6) == tar(dataset, 0).read_bytes()
    assert ShardFiles(remote, "after", str(tmp_path), 10**9).read(0, 0, 10**6) == b"mined again"


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_fetch_that_fails_leaves_nothing(remote, proxy, tmp_path):
    files = ShardFiles(remote, "", str(tmp_path), 10**9)
    proxy.fault = lambda method, path: 403 if method == "GET" and "000000.tar" in path else None
    with pytest.raises(PermissionError):
        files.read(0, 0, 1)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]
    proxy.fault = lambda method, path: None
    assert len(files.read(0, 0, 1)) == 1


def test_a_cache_that_cannot_be_written(s3_uri, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^data\.cache: cannot use .*it is a file"):
        ShardFiles(s3_uri, "", str(tmp_path / "file"), 10**9)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_cache_too_small_for_the_order_is_refused(remote, dataset):
    size = max(tar(dataset, shard).stat().st_size for shard in range(SHARDS))
    few = DataConfig(cache_gb=2.5 * size / 1e9)
    with pytest.raises(UserError, match=r"data\.cache_gb: .* 5 shards of .*data\.shuffle_shards to at most 2"):
        select_samples(remote, few)
    few.shuffle_shards = 2
    assert len(select_samples(remote, few).table) == len(select_samples(str(dataset), few).table)


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
@pytest.mark.parametrize("room", [2, SHARDS])
def test_two_processes_share_a_cache(dataset, samples, remote, proxy, room, tmp_path):
    cache_bytes = room * max(tar(dataset, shard).stat().st_size for shard in range(SHARDS))
    work = [(place, expected_bytes(dataset, place)) for place in places(samples)]
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    arguments = (remote, str(tmp_path), cache_bytes)
    processes = [spawn.Process(target=read_at_random, args=(*arguments, seed, work, results)) for seed in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    assert [wrong for _, wrong in found] == [0, 0]
    assert max(worst for worst, _ in found) <= cache_bytes
    if room == SHARDS:
        assert fetched(proxy) == list(range(SHARDS)), "each is fetched once, by one of them"
    for path in tmp_path.glob("*.tar"):
        with tarfile.open(path) as whole:
            assert whole.getnames()


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_a_full_disk_is_a_matter_of_the_cache(remote, tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k,mode=700", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(UserError, match=r"^data\.cache: no room in .* for s3://.* lower data\.cache_gb \(1\)"):
            ShardFiles(remote, "", str(tmp_path), 10**9).read(0, 0, 1)
        assert not list(tmp_path.glob("*.partial"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
