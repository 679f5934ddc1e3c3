"""Files damaged at random in every format: a message or a result, whatever the bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import damaging
import sound_files

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each file is read in a fork")


@pytest.mark.parametrize(
    ("seed", "count", "without"),
    [(0, 200, (".pt",)), pytest.param(1, 10_000, (), marks=pytest.mark.slow)],
)
def test_no_damage_makes_a_traceback_a_crash_or_a_hang(tmp_path, seed, count, without):
    names = [path.name for path in sound_files.write_all(tmp_path, without)]
    done = subprocess.run(
        [sys.executable, damaging.__file__, tmp_path, str(seed), str(count), *names],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["faults"] == []
    assert found["read"] + found["refused"] == count
    assert 0.05 * count < found["read"] < 0.6 * count
    assert found["memory"] < damaging.MEMORY


class TestTheWatch:
    """That the children's faults would be seen."""

    @pytest.mark.parametrize(
        ("statement", "fault"),
        [
            ("os.abort()", "SIGABRT"),
            ("bytearray(3 * 2**29)", "MiB"),
            ("os.system('true')", "ran ["),
            ("1 / 0", "ZeroDivisionError"),
            ("os._exit(3)", "exit 3"),
        ],
    )
    def test_a_fault(self, monkeypatch, statement, fault):
        monkeypatch.setattr(damaging, "use", lambda path: exec(statement) or [])
        assert fault in damaging.in_child(Path("x"))["fault"]

    def test_a_loop_without_end(self, monkeypatch):
        monkeypatch.setattr(damaging, "SECONDS", 1)
        monkeypatch.setattr(damaging, "use", lambda path: exec("while True: pass"))
        assert damaging.in_child(Path("x"))["fault"] == "signal SIGXCPU"
