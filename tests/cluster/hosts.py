"""Hosts on a network of their own, simulated by namespaces of this machine.

Each has its own address, name, processes, /tmp, /run, /etc and home; the other folders are the machine's. Nobody else
sees or reaches any of it: the same addresses do for any number of tests at a time, `ray stop` on a host ends the Rays
of that host alone, and everything goes with the tests, even if these are killed.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.cluster.documents import REPOSITORY

HOME = "/users/ovseg"
"""The home of user `ovseg`, on every host."""
GATEWAY = "192.0.2.254"
# With these the processes of a namespace end with the tests, whatever ends those.
_SPACES = ["setpriv", "--pdeathsig=KILL", "unshare", "--fork", "--kill-child", "--net", "--pid"]


@dataclass(frozen=True)
class Host:
    """A running host."""

    name: str
    address: str
    folder: Path
    """With what the host has as /tmp and as home."""
    init: psutil.Process

    def command(self, *words: str) -> list[str]:
        """A command that runs `words` on the host, as user `ovseg` in the project folder."""
        enter = ["nsenter", f"--target={self.init.pid}", "--mount", "--uts", "--net", "--pid", "--root"]
        path = os.pathsep.join([str(Path(sys.prefix) / "bin"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"])
        return [*enter, f"--wdns={REPOSITORY}", "env", f"HOME={HOME}", f"PATH={path}", "USER=ovseg", *words]

    def processes(self, *words: str) -> list[psutil.Process]:
        """All that runs on the host now, but for its first process; only those that have all `words` in their title."""
        # Not the first one's children: what was started from outside has its parent there.
        own = _process_space(self.init.pid)
        found = []
        for pid in psutil.pids():
            with contextlib.suppress(psutil.NoSuchProcess):
                if own and _process_space(pid) == own and pid != self.init.pid:
                    process = psutil.Process(pid)
                    title = " ".join(process.cmdline())
                    if all(word in title for word in words):
                        found.append(process)
        return found

    def power_off(self) -> None:
        """What pulling the plug does."""
        running = self.processes()
        with contextlib.suppress(psutil.NoSuchProcess):
            self.init.kill()
        psutil.wait_procs(running)

    def freeze(self) -> None:
        """Stop every process, as when a virtual machine is paused; `thaw` lets them go on."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


def _process_space(pid: int) -> str:
    """What the processes of one host have in common; "" of a process that is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


@dataclass(frozen=True)
class Network:
    """The switch between the hosts."""

    hosts: Sequence[Host]
    switch: psutil.Process

    def cut(self, host: Host) -> None:
        """Lose whatever the host sends or is sent, without a word to anybody."""
        self._ip("link", "set", host.name, "nomaster")

    def mend(self, host: Host) -> None:
        self._ip("link", "set", host.name, "master", "switch")

    def _ip(self, *words: str) -> None:
        _ip(self.switch, *words)


@contextlib.contextmanager
def network(folder: Path, addresses: Mapping[str, str], shared: Mapping[Path, Path]) -> Iterator[Network]:
    """Hosts by name, up to 15 letters, with addresses in 192.0.2.0/24. Skips where the privileges are missing.

    Args:
        shared: folders of this machine, and where the hosts have them; the project and its Python are where they are.
    """
    for tool in ("ip", "nsenter", "setpriv", "unshare"):
        if not shutil.which(tool):
            pytest.skip(f"hosts in namespaces need {tool} (Debian: iproute2, util-linux)")
    probe = subprocess.run([*_SPACES, "--mount", "--uts", "true"], capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.skip(f"hosts in namespaces need root's privileges: {probe.stderr.strip()}")
    shared = {REPOSITORY: REPOSITORY, Path(sys.prefix): Path(sys.prefix), **shared}
    places = [str(place) for pair in shared.items() for place in pair]
    names = "".join(f"{address} {name}\n" for name, address in addresses.items())
    with contextlib.ExitStack() as stack:
        switch = stack.enter_context(_first_process([*_SPACES, "bash", "-c", "echo ready; sleep infinity & wait"]))
        # Who asks for the world outside is told at once that there is none.
        _enter(switch, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        _ip(switch, "link", "add", "switch", "type", "bridge")
        _ip(switch, "address", "add", f"{GATEWAY}/24", "dev", "switch")
        _ip(switch, "link", "set", "switch", "up")
        hosts = []
        for name, address in addresses.items():
            own = folder / name
            own.mkdir(parents=True)
            (own / "hosts").write_text(f"127.0.0.1 localhost\n{names}")
            script = str(Path(__file__).with_name("host.sh"))
            command = [*_SPACES, "--mount", "--uts", "bash", script, str(own), name, *places]
            init = stack.enter_context(_first_process(command))
            _ip(switch, "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(init.pid))
            _ip(switch, "link", "set", name, "up", "master", "switch")
            _ip(init, "link", "set", "lo", "up")
            _ip(init, "link", "set", "eth0", "up")
            _ip(init, "address", "add", f"{address}/24", "dev", "eth0")
            _ip(init, "route", "add", "default", "via", GATEWAY)
            hosts.append(Host(name, address, own, init))
        yield Network(hosts, switch)


@contextlib.contextmanager
def _first_process(command: list[str]) -> Iterator[psutil.Process]:
    """The process that namespaces live and end with."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "ready\n", command
            [first] = psutil.Process(holder.pid).children()
            yield first
        finally:
            family = psutil.Process(holder.pid).children(recursive=True)
            holder.kill()
            psutil.wait_procs(family)


def _enter(process: psutil.Process, *words: str) -> None:
    """Run a program of this machine in the network of a process."""
    subprocess.run(["nsenter", f"--target={process.pid}", "--net", *words], check=True)


def _ip(process: psutil.Process, *words: str) -> None:
    _enter(process, "ip", *words)
