"""`ray up` with on-premise.yaml as it is, over ssh on hosts in namespaces, and the other commands of its chapter."""

import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.clip import load_clip
from tests.chain.test_chain import chain_arguments
from tests.cluster.documents import CLUSTER, typed_in_chapter
from tests.cluster.hosts import HOME, Host, Network, network
from tests.cluster.ray_nodes import started
from tests.disturbed_jobs import LIMIT_SECONDS

README = (CLUSTER / "README.md").read_text()
PROVIDER = yaml.safe_load((CLUSTER / "on-premise.yaml").read_text())["provider"]
ONCE = [line for line in typed_in_chapter(README, "Once") if not line.startswith("docker")]
MACHINES_OF_YOUR_OWN = typed_in_chapter(README, "Machines of your own")
# What the head alone runs, and what every machine does.
HEAD, MACHINE = "--gcs_server_port=", "--raylet_socket_name="
SSHD = "/usr/sbin/sshd"
SSHD_CONFIG = """
HostKey /etc/ssh/host_key
PasswordAuthentication no
"""


@pytest.fixture
def net(tmp_path) -> Iterator[Network]:
    """The hosts of on-premise.yaml, with an ssh server, and last the user's, with the key to them. All have /shared."""
    for tool, package in ((SSHD, "openssh-server"), ("ssh", "openssh-client"), ("rsync", "rsync")):
        if not shutil.which(tool):
            pytest.skip(f"`ray up` over ssh needs {tool} (Debian: {package})")
    addresses = dict(zip(("head", "worker-1", "worker-2"), [PROVIDER["head_ip"], *PROVIDER["worker_ips"]], strict=True))
    shared = tmp_path / "shared"
    shared.mkdir()
    with network(tmp_path, {**addresses, "user": "192.0.2.1"}, {shared: Path("/shared")}) as net:
        *cluster, user = net.hosts
        key = user.folder / "home" / ".ssh" / "id_ed25519"
        key.parent.mkdir(mode=0o700)
        make_key(key)
        for host in cluster:
            authorized = host.folder / "home" / ".ssh" / "authorized_keys"
            authorized.parent.mkdir(mode=0o700)
            shutil.copy(key.with_suffix(".pub"), authorized)
            install_packages(host)
            make_key(host.folder / "tmp" / "host_key")
            (host.folder / "tmp" / "sshd_config").write_text(SSHD_CONFIG)
            subprocess.run(host.command("cp", "/tmp/host_key", "/tmp/sshd_config", "/etc/ssh"), check=True)
            # It goes to the background, and ends with its host.
            subprocess.run(host.command(SSHD, "-E", "/tmp/sshd.log"), check=True)
        yield net


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def install_packages(host: Host) -> None:
    """~/ovseg with the packages that run this test, linked in, so that the setup finds the locked ones installed: each
    host would fetch 6 GB otherwise. The project itself is installed by the setup.
    """
    folder = host.folder / "home" / "ovseg"
    subprocess.run(host.command(sys.executable, "-m", "venv", "--without-pip", f"{HOME}/ovseg"), check=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "linked.pth").write_text(sysconfig.get_path("purelib"))
    for name, module in (("pip", "pip._internal.cli.main"), ("ray", "ray.scripts.scripts")):
        script = folder / "bin" / name
        script.write_text(f"#!{HOME}/ovseg/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        script.chmod(0o755)


def type_in(user: Host, lines: list[str], log: Path) -> str:
    """Give lines to one shell, as somebody who waits for the tunnel before going on; returns what was printed.

    Raises:
        AssertionError: one of them failed.
    """
    tunnel = "until (: > /dev/tcp/127.0.0.1/8265) 2> /dev/null; do sleep 0.2; done"
    typed = [part for line in lines for part in ([line, tunnel] if line.endswith("&") else [line])]
    with started(user.command("bash", "-e", "-c", "\n".join(typed)), log, {}) as shell:
        assert shell.wait(LIMIT_SECONDS) == 0, log.read_text()
    return log.read_text()


def rays(net: Network, *kinds: str) -> list[psutil.Process]:
    """Ray's processes of some kinds, on all hosts."""
    return [process for host in net.hosts for kind in kinds for process in host.processes(kind)]


@pytest.mark.soak
def test_a_cluster_comes_and_goes(net, tmp_path):
    up, dashboard, submit, *_, down = MACHINES_OF_YOUR_OWN
    wait = submit.partition(" python -m jobs.run ")[0].replace(" --no-wait", "")
    script = "import ray; ray.init(); print('machines:', sum(node['Alive'] for node in ray.nodes()))"
    printed = type_in(net.hosts[-1], [*ONCE, up, dashboard, f'{wait} python -c "{script}"', down], tmp_path / "log.txt")
    assert "machines: 3" in printed
    assert not rays(net, HEAD)


@pytest.mark.soak
def test_from_nothing_to_a_verified_dataset_and_an_adapted_clip(net, mined, world, small_clip, tmp_path):
    shared = tmp_path / "shared"
    shutil.copytree(world, shared / "world")
    shutil.copytree(small_clip.removeprefix("local-dir:"), shared / "clip")
    (shared / "coco" / "annotations").mkdir(parents=True)
    (shared / "coco" / "train2017").symlink_to("../world/images")
    (shared / "coco" / "annotations" / "captions_train2017.json").symlink_to("../../world/captions.json")

    tiny = chain_arguments(Path("/shared/world"), "local-dir:/shared/clip", Path())
    given = ("--output=", "--evaluate=", "--mine.captions.path=", "--mine.captions.images=")
    more = shlex.join(argument for argument in tiny if not argument.startswith(given))
    *lines, down = [f"{line} {more}" if "jobs.run" in line else line for line in MACHINES_OF_YOUR_OWN]
    printed = type_in(net.hosts[-1], [*ONCE, *lines], tmp_path / "log.txt")
    assert "Job 'coco-1' succeeded" in printed
    assert "0 damaged or missing files" in printed
    # Not the bytes: the paths of the images are among them, and these are others here.
    paths = ["image_uri", "tar_offset", "tar_length"]
    found, expected = (
        pq.read_table(folder / "manifests").drop(paths) for folder in (shared / "ovseg" / "mined", mined)
    )
    assert found == expected
    load_clip(f"local-dir:{shared}/ovseg/adapted/model")

    running = rays(net, HEAD, MACHINE)
    assert len(running) == 4
    type_in(net.hosts[-1], [down], tmp_path / "down.txt")
    assert not psutil.wait_procs(running, timeout=LIMIT_SECONDS)[1]
