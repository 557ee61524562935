"""A Slurm of a test's own on this machine: two emulated nodes of two cores, with Debian's packages, as any user."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
NODES = ("n1", "n2")
CONFIGURATION = """\
ClusterName=loop
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={control}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/ctld.pid
SlurmctldLogFile={folder}/ctld.log
SlurmdSpoolDir={folder}/%n
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.txt
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=batch_sched_delay=0,bf_interval=1
ReturnToService=2
MinJobAge=300
KillWait=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port={n1} CPUs=2 RealMemory=40000
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port={n2} CPUs=2 RealMemory=40000
PartitionName=main Nodes=ALL Default=YES MaxTime=10:00:00 State=UP
"""
"""`NoInAddrAny` needs a host name that is 127.0.0.1; without it the daemons listen on every address."""


def list_missing() -> list[str]:
    """List the programs that this machine lacks."""
    return [name for name in PROGRAMS if not _find(name)]


def _find(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or ""


@dataclass(frozen=True)
class Cluster:
    """A running Slurm: its folder, and the environment in which its programs find it."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> str:
        """Run a program of Slurm's and return what it prints."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def list_jobs(self) -> list[dict[str, str]]:
        """List the jobs that have ended, as `jobcomp` notes them."""
        path = self.folder / "jobs.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [dict(field.partition("=")[::2] for field in line.split() if "=" in field) for line in lines]


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Start a Slurm, wait until its nodes are idle, and end it with the block."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        yield from _start_in(Path(folder))


def _start_in(folder: Path) -> Iterator[Cluster]:
    """Start a Slurm in an empty folder, which munge wants all users to enter, but for its key."""
    folder.chmod(0o755)
    for name in ("state", "bin", *NODES):
        (folder / name).mkdir()
    private = folder / "private"
    private.mkdir(mode=0o700)
    ports = dict(zip(("control", *NODES), _find_ports(3), strict=True))
    text = CONFIGURATION.format(folder=folder, user=getpass.getuser(), **ports)
    if socket.gethostbyname(socket.gethostname()) != "127.0.0.1":
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Communication"))
    (folder / "slurm.conf").write_text(text)
    key = private / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    # The executor drops SLURM_CONF before the srun inside a job.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {_find("srun")} "$@"\n')
    srun.chmod(0o755)
    path = f"{folder}/bin:{os.environ['PATH']}:/usr/sbin"
    cluster = Cluster(folder, {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path})
    files = [f"--{name}-file={private}/munge.{name}" for name in ("key", "log", "seed")]
    files += [f"--pid-file={folder}/munge.pid", f"--socket={folder}/munge.socket"]
    with ExitStack() as daemons:
        for command in (
            ["munged", "-F", *files],
            ["slurmctld", "-D"],
            *(["slurmd", "-D", "-N", node] for node in NODES),
        ):
            daemons.enter_context(_start(cluster, command))
            if command[0] == "munged":
                _wait(lambda: (folder / "munge.socket").exists())
        _wait(lambda: cluster.run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(len(NODES)))
        yield cluster
        cluster.run("scancel", "-u", getpass.getuser())


@contextmanager
def _start(cluster: Cluster, command: list[str]) -> Iterator[None]:
    """Run a daemon while the block lasts."""
    with (cluster.folder / f"{command[0]}.out").open("ab") as said:
        process = subprocess.Popen([_find(command[0]), *command[1:]], env=cluster.environment, stdout=said, stderr=said)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def _wait(is_so: Callable[[], bool]) -> None:
    """Wait a minute at most."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if is_so():
                return
        except subprocess.SubprocessError:
            pass  # not up yet
        time.sleep(0.2)
    raise TimeoutError("Slurm did not come up; its logs say why")


def _find_ports(count: int) -> list[int]:
    """Find so many free ports."""
    with ExitStack() as sockets:
        servers = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for server in servers:
            server.bind(("127.0.0.1", 0))
        return [server.getsockname()[1] for server in servers]
