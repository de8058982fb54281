"""S3 that fails at times changes nothing; S3 that fails for good ends the job, and the same command carries on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline import storage
from pipeline.inspection.verify import verify
from pipeline.training.shard_files import ShardFiles
from tests.disturbed_jobs import run
from tests.mining.configs import command_line, dataset_bytes
from tests.s3 import s3_environment
from tests.servers import ceph
from tests.servers.faulty_proxy import Fault, FaultyProxy, Kind, faulty_proxy, random_faults
from tests.servers.s3_server import S3Server
from tests.training import conftest as training_fixtures
from tests.training.configs import command_line as training_command_line
from tests.training.finished import assert_same_model

pytestmark = pytest.mark.parametrize("s3", ["moto_s3" if ceph.missing_programs() else "ceph"], indirect=True)

adapted = training_fixtures.adapted

KINDS: list[Kind] = [500, 503, "drop", "lost", "cut", "slow"]
SHARE = 0.15


@pytest.fixture
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    """What all jobs reach S3 through."""
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        yield proxy


def once(happened: Callable[[str, str], bool], then: Kind, before: Fault) -> Fault:
    """One fault until something was asked for, and from then on another for everything."""
    over = []

    def fault(method: str, path: str) -> Kind | None:
        if not over and happened(method, path):
            over.append(True)
        return then if over else before(method, path)

    return fault


def upload_tree(folder: Path, uri: str) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        storage.upload(path, f"{uri}/{path.relative_to(folder)}")


def download(uri: str, files: list[str]) -> dict[str, bytes]:
    return {file: storage.read_bytes(f"{uri}/{file}") for file in files}


def last_words(log: Path) -> str:
    """What a job said that could not complete its work."""
    return log.read_text().rpartition("incomplete: ")[2].splitlines()[0]


def mining(world: Path, small_clip: str, remote: str, output: str) -> list[str]:
    """Mining with captions and images on S3."""
    return [
        *command_line(world, small_clip, output),
        f"--captions.path={remote}/captions.json",
        f"--captions.images={remote}/images",
    ]


@pytest.mark.soak
def test_mining_goes_on_through_faults_and_ends_when_access_is_denied(s3, s3_uri, proxy, world, small_clip, tmp_path):
    remote, output, log = f"{s3_uri}/in", f"{s3_uri}/out", tmp_path / "log.txt"
    upload_tree(world / "images", f"{remote}/images")
    storage.upload(world / "captions.json", f"{remote}/captions.json")
    assert run("mine", mining(world, small_clip, remote, str(tmp_path / "undisturbed")), log) == 0, log.read_text()
    expected = dataset_bytes(tmp_path / "undisturbed")

    arguments = mining(world, small_clip, remote, output)
    proxy.fault = once(
        lambda method, path: method == "PUT" and "/out/manifests/000001" in path,
        then=403,
        before=random_faults(KINDS, SHARE, seed=1),
    )
    log.write_text("")
    assert run("mine", arguments, log) == 1, log.read_text()
    assert "storage failed: [Errno 13] " in last_words(log)
    assert "AccessDenied" in last_words(log)
    assert f"'{output}/" in last_words(log)
    assert "the same command carries on" in last_words(log)

    proxy.fault = random_faults(KINDS, SHARE, seed=2)
    log.write_text("")
    assert run("mine", arguments, log) == 0, log.read_text()
    assert all(proxy.faults[kind] for kind in KINDS)
    proxy.fault = lambda method, path: None
    assert download(output, list(expected)) == expected
    assert verify(output) == []
    assert storage.list_names(f"{output}/errors") == storage.list_names(f"{output}/attempts") == []


@pytest.mark.soak
def test_training_goes_on_through_faults_and_ends_when_it_cannot_write(
    s3,
    s3_uri,
    proxy,
    mined,
    small_clip,
    adapted,
    tmp_path,
):
    dataset, output, log = f"{s3_uri}/mined", f"{s3_uri}/run", tmp_path / "log.txt"
    upload_tree(mined, dataset)
    arguments = [*training_command_line(dataset, small_clip, output), f"--data.cache={tmp_path / 'cache'}"]
    proxy.fault = once(
        lambda method, path: method == "PUT" and "/checkpoints/full-0000004/" in path,
        then=403,
        before=random_faults(KINDS, SHARE, seed=1),
    )
    assert run("train", arguments, log) == 1, log.read_text()
    assert "storage failed: [Errno 13] " in last_words(log)
    assert "AccessDenied" in last_words(log)
    assert f"'{output}/checkpoints/" in last_words(log)

    proxy.fault = random_faults(KINDS, SHARE, seed=2)
    assert run("train", arguments, log) == 0, log.read_text()
    assert proxy.faults.total() - proxy.faults[403] > 10
    proxy.fault = lambda method, path: None
    assert_same_model(output, adapted, tmp_path)


def test_a_shard_replaced_by_a_shorter_one_while_it_is_fetched_is_not_taken_for_whole(s3, s3_uri, proxy, tmp_path):
    storage.write_bytes(f"{s3_uri}/mined/shards/000000.tar", bytes(2000))
    sizes_asked = []

    def replace_at_the_second_question(method: str, path: str) -> None:
        if method == "HEAD":
            sizes_asked.append(path)
            if len(sizes_asked) == 2:
                s3.client().put_object(Bucket=s3_uri.removeprefix("s3://"), Key=path.split("/", 2)[2], Body=bytes(1000))

    proxy.fault = replace_at_the_second_question
    files = ShardFiles(f"{s3_uri}/mined", "", str(tmp_path), 10**9)
    with pytest.raises(OSError, match="1000 bytes came instead of 2000"):
        files.read(0, 0, 1)
    assert not [path for path in tmp_path.iterdir() if path.stat().st_size]
    assert files.read(0, 0, 2000) == bytes(1000)


@pytest.mark.soak
def test_mining_ends_when_storage_is_gone_for_good(s3, s3_uri, proxy, mined, world, small_clip, tmp_path):
    output, log = f"{s3_uri}/out", tmp_path / "log.txt"
    proxy.fault = once(
        lambda method, path: method == "PUT" and "/out/manifests/000001" in path,
        then=500,
        before=lambda method, path: None,
    )
    assert run("mine", command_line(world, small_clip, output), log) == 1, log.read_text()
    assert "storage failed: " in last_words(log)
    assert f"'{output}/" in last_words(log)

    proxy.fault = lambda method, path: None
    assert run("mine", command_line(world, small_clip, output), log) == 0, log.read_text()
    expected = dataset_bytes(mined)
    assert download(output, list(expected)) == expected


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["drop", "silent", "slow"])
def test_requests_for_one_object_have_a_deadline(s3, s3_uri, proxy, kind):
    uri, content = f"{s3_uri}/object", bytes(range(256)) * 400
    storage.write_bytes(uri, content)
    proxy.pause = 20  # ten pieces take longer than a body may, and each comes within the time for a read
    proxy.fault = lambda method, path: kind
    with pytest.raises(OSError, match=f"'{uri}'"):
        storage.read_bytes(uri)
    faults = iter([kind])
    proxy.fault = lambda method, path: next(faults, None)
    assert storage.read_bytes(uri) == content
