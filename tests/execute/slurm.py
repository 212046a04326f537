"""A real SLURM of two nodes on this machine, for tests: no systemd, no cgroups, everything below one folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["lacking", "running"]

CONF = """
ClusterName=kaxis
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
ReturnToService=2
SlurmctldPort={port}
SlurmctldPidFile={folder}/ctld.pid
SlurmdPidFile={folder}/d%n.pid
SlurmdSpoolDir={folder}/d%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/ctld.log
SlurmdLogFile={folder}/d%n.log
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=20
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=2 RealMemory=8000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged")


def lacking() -> str:
    """Why there can be none here; empty where there can."""
    if missing := [p for p in PROGRAMS if not shutil.which(p)]:
        return f"no {', '.join(missing)} here (Debian: slurmctld slurmd slurm-client munge)"
    return "" if os.geteuid() == 0 else "slurmd wants root"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """What the environment needs, while it runs."""
    port = _port()
    for name in ("state", "dn1", "dn2"):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().split(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder, port=port, port1=port + 1, port2=port + 2))
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    environment = {"SLURM_CONF": str(conf)}
    files = {name: f"{folder}/{name}" for name in ("munge.socket", "munged.pid", "munged.log", "munge.seed")}
    munge = ["munged", "--force", f"--key-file={key}", f"--socket={files['munge.socket']}"]
    munge += [f"--pid-file={files['munged.pid']}", f"--log-file={files['munged.log']}"]
    try:
        _call([*munge, f"--seed-file={files['munge.seed']}"], environment)
        _call(["slurmctld", "-f", str(conf)], environment)
        for node in ("n1", "n2"):
            _call(["slurmd", "-N", node, "-f", str(conf)], environment)
        deadline = time.monotonic() + 60
        while len(_call(["sinfo", "-h", "-N", "-t", "idle"], environment, check=False).splitlines()) < 2:
            assert time.monotonic() < deadline, f"SLURM did not come up; see {folder}"
            time.sleep(0.5)
        yield environment
    finally:
        _call(["scancel", "--me"], environment, check=False)
        time.sleep(1)
        for name in ("dn1.pid", "dn2.pid", "ctld.pid", "munged.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int((folder / name).read_text()), signal.SIGTERM)


def _port() -> int:
    """Three free ones in a row begin here, as good as surely."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return min(int(one.getsockname()[1]), 60_000)


def _call(line: list[str], environment: dict[str, str], *, check: bool = True) -> str:
    done = subprocess.run(line, env=os.environ | environment, capture_output=True, text=True, check=check, timeout=60)
    return done.stdout
