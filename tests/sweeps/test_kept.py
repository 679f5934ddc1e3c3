"""Sweeps that are killed, and sweeps that share a folder: every run is done, once, and whole."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grevy import archive
from grevy.archive import RunFolder, verify
from grevy.sweeps.claims import process_start
from grevy.sweeps.folder import SweepFolder, read_plan
from tiny_sweeps import write_sweep

pytestmark = pytest.mark.slow
HERE = ("--on", "here", "--workers", "2")


def start(path, folder, *flags):
    command = [sys.executable, "-m", "grevy", "sweep", path, "-o", folder, *HERE, *flags]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # else ignored where pytest is
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(pid):
    """The processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def wait_for(what):
    while not what():
        time.sleep(0.05)


def test_it_goes_on_after_any_end(tmp_path):
    rng = random.Random(0)
    path = write_sweep(tmp_path, grid={"seed": list(range(6))}, base={"max_iterations": 300})
    folder, seen = tmp_path / "S", set()
    for number in range(4):
        sweep = start(path, folder, "--checkpoint-minutes", "0.01")
        wait_for(lambda of=sweep: workers_of(of.pid))
        time.sleep(rng.uniform(0, 10))
        seen.update(workers_of(sweep.pid))
        sweep.send_signal(signal.SIGKILL if number % 2 else signal.SIGINT)
        _, err = sweep.communicate()
        assert sweep.returncode in (0, -signal.SIGKILL if number % 2 else 130), err
    last = start(path, folder)
    out, err = last.communicate()
    assert last.returncode == 0, err
    assert out.startswith("6 of 6 done, 0 running, 0 failed, 0 left")
    for run in read_plan(SweepFolder(folder)):
        assert verify(RunFolder(folder / "runs" / run.run_id)) == []
    wait_for(lambda: not any(map(process_start, seen)))
    assert list((folder / "claims").glob("*.claim")) == []


def test_two_on_one_folder_do_no_run_twice(tmp_path):
    path = write_sweep(
        tmp_path, grid={"output_dimension": list(range(2, 14))}, base={"max_iterations": 50}
    )
    both = [start(path, tmp_path / "S") for _ in range(2)]
    said = [each.communicate() for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert all(out.startswith("12 of 12 done") for out, _ in said)
    did = [
        set(re.findall(r"^\d+/12  ([0-9a-f]{12})  .*  (?!0\.0 s)[\d.]+ s$", err, re.MULTILINE))
        for _, err in said
    ]
    assert did[0] & did[1] == set()
    assert len(did[0] | did[1]) == 12
    assert len(list((tmp_path / "S" / "runs").iterdir())) == 12  # one seed was drawn, by one


def test_a_run_that_kills_its_worker_is_given_up_after_three(tmp_path):
    (tmp_path / "deadly.py").write_text(
        "import os\n"
        "import cebra.models\n"
        "from cebra.models.model import Offset0Model\n"
        "@cebra.models.register('deadly-model')\n"
        "class Deadly(Offset0Model):\n"
        "    def forward(self, inp):\n"
        "        os.kill(os.getpid(), 9)\n"
    )
    module = str(tmp_path / "deadly.py")
    path = write_sweep(
        tmp_path,
        base={"imports": [module]},
        grid={"model_architecture": ["offset1-model", "deadly-model"], "seed": [0]},
    )
    sweep = start(path, tmp_path / "S", "--import", module)
    out, err = sweep.communicate()
    assert sweep.returncode == 1, err
    assert out.startswith("1 of 2 done, 0 running, 1 failed, 0 left")
    assert err.count("again  ") == 2
    error = next((tmp_path / "S" / "runs").glob("*/logs/error.txt")).read_text()
    assert error.count("was ended by SIGKILL") == 4  # each death, and the last again
    done = next((tmp_path / "S" / "runs").glob(f"*/{archive.MANIFEST}"))
    assert verify(RunFolder(done.parent)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="disks are mounted by root")
def test_a_disk_that_is_full_loses_nothing(tmp_path):
    path = write_sweep(tmp_path, grid={"seed": [0, 1]})
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, "size=600k", "grevy", disk], check=True)
    try:
        sweep = start(path, disk / "S")
        out, err = sweep.communicate()
        assert sweep.returncode == 1, err
        assert out.startswith("0 of 2 done, 0 running, 2 failed")
        assert err.count("cannot be written: No space left on device") == 2
        assert "Traceback" not in err
        subprocess.run([*mount, "remount,size=60m", "grevy", disk], check=True)
        sweep = start(path, disk / "S", "--retry-failed")
        out, err = sweep.communicate()
        assert sweep.returncode == 0, err
        assert out.startswith("2 of 2 done, 0 running, 0 failed")
        for run in read_plan(SweepFolder(disk / "S")):
            assert verify(RunFolder(disk / "S" / "runs" / run.run_id)) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_batch_systems_signal_keeps_what_runs(tmp_path):
    path = write_sweep(tmp_path, grid={"seed": [0]}, base={"max_iterations": 10**6})
    sweep = start(path, tmp_path / "S", "--checkpoint-minutes", "0.005")
    checkpoints = f"runs/*/{archive.CHECKPOINTS}/step_*.pt"
    wait_for(lambda: any((tmp_path / "S").glob(checkpoints)))
    pids = workers_of(sweep.pid)
    sweep.terminate()
    _, err = sweep.communicate()
    assert sweep.returncode == 128 + signal.SIGTERM
    assert "The same command goes on with it" in err
    assert any((tmp_path / "S").glob(checkpoints))
    assert list((tmp_path / "S" / "claims").glob("*.claim")) == []
    assert not any(map(process_start, pids))
