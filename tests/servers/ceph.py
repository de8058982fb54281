"""Ceph's S3 gateway: one monitor, one object store in memory, one gateway, all on loopback.

    python -m tests.servers.ceph install     installs the programs (Debian or Ubuntu, as root)

It checks signatures, reports errors and hides unfinished multipart uploads as a real server does,
which the emulator does not. The daemons run in the foreground as children of this process, so
nothing but these three is ever ended.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.servers.ports import free_port
from tests.servers.s3_server import (
    ACCESS_KEY,
    SECRET_KEY,
    START_SECONDS,
    S3Server,
    start,
    stop,
    wait_for_http,
)

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin", "setpriv")
PACKAGES = ("ceph-mon", "ceph-osd", "radosgw")

# No authentication between the daemons (loopback), one copy of everything, and the smallest number
# of pieces, since a test cluster lives for minutes.
CONFIGURATION = """
[global]
fsid = {fsid}
mon_initial_members = a
mon_host = [v1:127.0.0.1:{monitor_port}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
keyring = {folder}/keyring
run_dir = {folder}
admin_socket = {folder}/$name.asok
crash_dir = {folder}
log_file = {folder}/$name.log
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
# The default of a second is waited for at every change while the cluster is created.
paxos_propose_interval = 0.05
# Tests run on disks that are nearly full as well.
mon_data_avail_warn = 2
mon_data_avail_crit = 1

[mon]
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/cluster.log

[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 2147483648
osd_class_load_list = *
osd_class_default_list = *
osd_class_update_on_start = false
osd_crush_update_on_start = false

[client]
rgw_frontends = beast endpoint=127.0.0.1:{gateway_port}
rgw_thread_pool_size = 16
rgw_enable_apis = s3
rgw_run_sync_thread = false
rgw_override_bucket_index_max_shards = 1
rgw_dynamic_resharding = false
rgw_gc_max_objs = 1
rgw_lc_max_objs = 1
rgw_objexp_hints_num_shards = 1
rgw_data_log_num_shards = 1
rgw_md_log_max_shards = 1
# Deleted data stays in memory until it is collected, two hours later by default.
rgw_gc_obj_min_wait = 5
rgw_gc_processor_period = 10
rgw_gc_processor_max_time = 10
"""


def missing_programs() -> list[str]:
    """The programs that `running` needs and that are not installed."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def install() -> None:
    """Install the programs with apt."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
    ):
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[S3Server]:
    """A new cluster with no buckets; its data and logs go to `folder`, which should be empty.

    Raises:
        RuntimeError: a daemon did not start; with the end of its log.
    """
    monitor_port, gateway_port = free_port(), free_port()
    configuration = folder / "ceph.conf"
    configuration.write_text(
        CONFIGURATION.format(
            fsid=uuid.uuid4(),
            folder=folder,
            monitor_port=monitor_port,
            gateway_port=gateway_port,
        )
    )
    options = ["-c", str(configuration)]
    log = folder / "output.log"
    (folder / "keyring").touch()
    endpoint = f"http://127.0.0.1:{gateway_port}"
    with contextlib.ExitStack() as daemons:

        def run(*command: str) -> None:
            with open(log, "ab") as output:
                result = subprocess.run(
                    [command[0], *options, *command[1:]],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=START_SECONDS,
                )
            if result.returncode:
                raise RuntimeError(f"{command} failed; {log} ends:\n{log.read_text()[-2000:]}")

        def daemon(*command: str) -> subprocess.Popen:
            process = start([command[0], *options, "-f", *command[1:]], log)
            daemons.callback(stop, process)
            return process

        monitor_map = str(folder / "monmap")
        monitor_address = f"[v1:127.0.0.1:{monitor_port}]"
        run("monmaptool", "--create", "--addv", "a", monitor_address, monitor_map)
        run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monitor_map)
        daemon("ceph-mon", "-i", "a")
        store = str(uuid.uuid4())
        # Each `ceph` command waits for the monitor to answer.
        run("ceph", "osd", "new", store, "0")
        run("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=local")
        (folder / "osd").mkdir()
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        daemon("ceph-osd", "-i", "0")
        user = ("--uid", "test", "--display-name", "test")
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        run("radosgw-admin", "user", "create", *user, *keys)
        gateway = daemon("radosgw", "-n", "client.rgw")
        wait_for_http(endpoint, gateway, log)
        yield S3Server("ceph", endpoint)


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit(__doc__)
    install()
