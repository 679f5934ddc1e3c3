"""The sign of life by which runs elsewhere know that somebody waits for them."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from grevy.atomic import WriteError
from grevy.sweeps.places import beat
from grevy.sweeps.places.beat import Beat, following, is_stopped


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr(beat, "BEAT", 0.02)
    monkeypatch.setattr(beat, "LOOK", 0.01)


def test_it_beats_until_it_asks_to_stop(tmp_path):
    sign, stopped = Beat(tmp_path / "claims"), threading.Event()
    sign.start()
    first = sign.path.read_text()
    with following(sign.path, stopped.set):
        while sign.path.read_text() in ("", first):
            pass
        assert not is_stopped(sign.path)
        assert not stopped.is_set()
        sign.ask_to_stop()
        assert stopped.wait(60)
    assert is_stopped(sign.path)
    sign.end()
    assert not list((tmp_path / "claims").iterdir())
    assert is_stopped(sign.path)


def test_a_client_without_signs_of_life_counts_as_dead(tmp_path, monkeypatch):
    monkeypatch.setattr(beat, "EXPIRY", 0.2)
    path, stopped = tmp_path / "x.client", threading.Event()
    path.write_text("5")
    with following(path, stopped.set):
        assert stopped.wait(60)


def test_the_next_client_here_buries_one_that_was_killed(tmp_path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom grevy.sweeps.places.beat import Beat\n"
        "sign = Beat(Path(sys.argv[1]))\nsign.start()\nprint(sign.path, flush=True)\n"
        "time.sleep(600)\n"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    path = tmp_path / os.path.basename(client.stdout.readline().strip())  # noqa: PTH119
    other = tmp_path / "elsewhere.1.2.client"
    other.write_text("7")
    mine = Beat(tmp_path)
    mine.start()
    assert path.exists()  # it lives
    mine.end()
    client.send_signal(signal.SIGKILL)
    client.wait()
    mine = Beat(tmp_path)
    mine.start()
    assert not path.exists()
    assert other.exists()  # of another machine, whose processes nobody sees from here
    mine.end()


def test_where_nothing_can_be_written_it_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        Beat(tmp_path / "file" / "claims").start()
