"""A real Slurm of one node on this machine, for the time of a test. Needs to be root."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo")
CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=10
MinJobAge=600
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Say what is missing to run one here; None if nothing is."""
    missing = [name for name in PROGRAMS if _path(name) is None]
    if missing:
        return f"no Slurm here: {', '.join(missing)} (Debian: slurm-wlm and munge)"
    return None if os.geteuid() == 0 else "Slurm's daemons are started as root"


def _path(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _found(name: str) -> str:
    path = _path(name)
    assert path is not None
    return path


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run one; yields the environment in which its commands find it."""
    for name in ("state", "spool", "munge"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    configuration = folder / "slurm.conf"
    ports = {"controller": _free_port(), "node": _free_port()}
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, **ports))
    environment = {**os.environ, "SLURM_CONF": str(configuration)}
    running = [_munged(folder / "munge")]
    try:
        _wait((folder / "munge" / "socket").exists, "munged")
        for name in ("slurmctld", "slurmd"):
            command = [_found(name), "-D", "-f", str(configuration)]
            running.append(_started(command, folder / f"{name}.out", environment))
        _wait(lambda: _is_idle(environment), "the node")
        yield environment
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], env=environment, check=False)
        for process in reversed(running):
            process.terminate()
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def _munged(folder: Path) -> "subprocess.Popen[bytes]":
    """Start the daemon that signs, with a key of its own."""
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    command = [
        _found("munged"), "--foreground", "--force", f"--socket={folder}/socket",
        f"--key-file={folder}/key", f"--pid-file={folder}/pid", f"--log-file={folder}/log",
        f"--seed-file={folder}/seed",
    ]  # fmt: skip
    return _started(command, folder / "out", dict(os.environ))


def _started(
    command: list[str], output: Path, environment: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    with output.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env=environment)


def _is_idle(environment: Mapping[str, str]) -> bool:
    done = subprocess.run(
        ["sinfo", "-h", "-o", "%t"], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "idle"


def _wait(until: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not start within {seconds:g} s")
        time.sleep(0.2)
