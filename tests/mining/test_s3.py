"""Mining into S3: the same bytes as on a local disk, and clear errors."""

import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs import inspect as inspect_job
from jobs import mine as mine_job
from pipeline.simulation.delays import measured_delays
from pipeline.simulation.requests import requests_of_a_job
from tests.disturbed_jobs import run, run_disturbed
from tests.mining.configs import command_line, dataset_bytes
from tests.s3 import s3_environment
from tests.servers.faulty_proxy import Kind, faulty_proxy, random_faults
from tests.servers.s3_server import S3Server

FAULTS: list[Kind] = [500, 503, "drop", "lost", "cut"]
SHARE_OF_FAULTS = 0.1


def objects(server: S3Server, uri: str) -> dict[str, bytes]:
    """All objects of a bucket, read by another library than the one that wrote them."""
    bucket, client = uri.removeprefix("s3://"), server.client()
    listed = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {item["Key"]: client.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed}


def that_grow(requests: Iterable[tuple[str, str]], images: set[str]) -> Counter[str]:
    """Requests for images and for what is there for every shard, by method. (The listing is one file for 64 shards.)"""
    found: Counter[str] = Counter()
    for method, path in requests:
        name, _, query = path.partition("?")
        if "list-type" in query:
            found["LIST"] += bool(re.search("prefix=out%2F(manifests|captions)", query))
        elif name.rpartition("/")[2] in images or (
            re.search(r"/\d{6}\.", name) and (method, "/listing/" in name) != ("PUT", True)
        ):
            found[method] += 1
    return found


@pytest.mark.soak
@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_on_s3_lies_what_a_local_run_writes(s3, s3_uri, mined, world, small_clip, tmp_path, capsys):
    """Though S3 fails at times, a worker is killed, and Ray and then the driver, while the last of four shards waits to
    be committed."""
    bucket, client = s3_uri.removeprefix("s3://"), s3.client()

    def fault(method: str, path: str) -> Kind | None:
        if method == "PUT" and "/manifests/000003" in path and proxy.faults["silent"] < 2:
            return "silent"
        return at_random(method, path)

    arguments = command_line(world, small_clip, f"{s3_uri}/out")
    at_random = random_faults(FAULTS, SHARE_OF_FAULTS, seed=1)
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        proxy.fault = fault
        kinds, log = ["kill worker", "kill raylet", "kill driver"], tmp_path / "log.txt"
        run_disturbed("mine", arguments, lambda: proxy.faults["silent"], kinds, [0, 1, 2], log, seed=1)
        assert all(proxy.faults[kind] for kind in FAULTS)
    expected = {f"out/{file}": data for file, data in dataset_bytes(mined).items()}
    found = objects(s3, s3_uri)
    assert {key: found.get(key) for key in expected} == expected
    assert "out/dataset.json" in found
    assert not [key for key in found if key.startswith("out/attempts/") or "write-check" in key]

    assert inspect_job.main([f"{s3_uri}/out", "--verify"]) == 0
    assert "0 damaged or missing files" in capsys.readouterr().out
    assert inspect_job.main([f"{s3_uri}/out"]) == 0
    assert "4 of 4" in capsys.readouterr().out
    client.delete_object(Bucket=bucket, Key="out/candidates/000001.parquet")
    client.put_object(Bucket=bucket, Key="out/shards/000002.tar", Body=b"damaged")
    assert inspect_job.main([f"{s3_uri}/out", "--verify"]) == 1
    assert inspect_job.main([f"{s3_uri}/out", "--repair"]) == 0
    assert "due again: shards 1, 2" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_captions_images_annotations_and_output_on_s3(s3, s3_uri, mined, world, small_clip, forked_workers, tmp_path):
    """And the requests for them are those that the simulation's model counts."""
    bucket = s3_uri.removeprefix("s3://")
    for path in world.rglob("*.*"):
        s3.client().upload_file(str(path), bucket, f"in/{path.relative_to(world)}")
    arguments = [
        *command_line(world, small_clip, f"{s3_uri}/out"),
        f"--captions.path={s3_uri}/in/captions.json",
        f"--captions.images={s3_uri}/in/images",
        f"--proposals.options.annotations={s3_uri}/in/panoptic.json",
    ]
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        log = tmp_path / "log.txt"
        assert run("mine", arguments, log, forked_workers) == 0, log.read_text()
        requests = that_grow(proxy.requests, {path.name for path in (world / "images").iterdir()})
        measured = measured_delays(f"{s3_uri}/out", seed=0)
    assert measured.shards == 4
    # And one, whether the first image is where the configuration says.
    expected = requests_of_a_job(images=24, shards=4, tar_bytes=0, stage_seconds=(0, 0, 0, 0)) + Counter(HEAD=1)
    assert requests == expected
    found, expected = objects(s3, s3_uri), dataset_bytes(mined)
    assert {f"out/{file}" for file in expected} <= found.keys()
    assert found["out/vocabulary.parquet"] == expected["vocabulary.parquet"]
    places = ["tar_offset", "tar_length"]  # the samples hold the URIs of their images, of different length
    for name in (file for file in expected if file.startswith("manifests/")):
        rows, others = (
            pq.read_table(pa.BufferReader(data)).drop_columns(places).to_pylist()
            for data in (found[f"out/{name}"], expected[name])
        )
        assert [row.pop("image_uri") for row in rows] == [
            f"{s3_uri}/in/images/{Path(other.pop('image_uri')).name}" for other in others
        ]
        assert rows == others


# moto accepts any credentials.
@pytest.mark.parametrize("s3", ["ceph"], indirect=True)
def test_a_wrong_secret_is_said_before_anything_starts(s3, s3_uri, ray_cluster, world, small_clip, tmp_path, capsys):
    with s3_environment(s3.environment | {"AWS_SECRET_ACCESS_KEY": "wrong-secret"}):
        assert mine_job.main(command_line(world, small_clip, f"{s3_uri}/out")) == 2
        error = capsys.readouterr().err
        assert f"error: output: cannot use {s3_uri}/out: the S3 credentials are wrong" in error
        local = command_line(world, small_clip, str(tmp_path / "out"))
        assert mine_job.main([*local, f"--captions.path={s3_uri}/captions.json"]) == 2
        error += capsys.readouterr().err
        assert f"error: captions.path: cannot use {s3_uri}/captions.json: the S3 credentials are wrong" in error
        assert inspect_job.main([f"{s3_uri}/out"]) == 2
        error += capsys.readouterr().err
    assert "wrong-secret" not in error
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in error
    assert "Traceback" not in error
    assert objects(s3, s3_uri) == {}


@pytest.mark.parametrize("key", ["output", "captions.path", "captions.images"])
def test_a_missing_bucket_is_said_before_anything_starts(s3, key, ray_cluster, world, small_clip, tmp_path, capsys):
    arguments = [*command_line(world, small_clip, str(tmp_path / "out")), f"--{key}=s3://no-such-bucket-here/data"]
    assert mine_job.main(arguments) == 2
    assert f"error: {key}: cannot use s3://no-such-bucket-here/data: the bucket does not" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("s3", ["moto_s3"], indirect=True)
def test_failing_storage_is_not_taken_for_damage(s3, s3_uri, mined, capsys):
    for path in mined.rglob("*.*"):
        if path.name != "dataset.json":  # an unfinished dataset: its manifests have no checksums
            s3.client().upload_file(str(path), s3_uri.removeprefix("s3://"), f"out/{path.relative_to(mined)}")
    with faulty_proxy(s3.endpoint) as proxy, s3_environment(s3.environment | {"AWS_ENDPOINT_URL": proxy.endpoint}):
        proxy.fault = lambda method, path: 403 if "manifests/000001" in path else None
        assert inspect_job.main([f"{s3_uri}/out", "--repair"]) == 1
        assert "incomplete: storage failed" in capsys.readouterr().err
    with s3_environment(s3.environment):
        assert inspect_job.main([f"{s3_uri}/out", "--verify"]) == 0
        s3.client().put_object(Bucket=s3_uri.removeprefix("s3://"), Key="out/manifests/000001.parquet", Body=b"PAR1")
        assert inspect_job.main([f"{s3_uri}/out", "--verify"]) == 1
        assert "manifests/000001.parquet: unreadable" in capsys.readouterr().out
