"""Claims: one owner at a time, and none that is dead."""

import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from grevy.atomic import WriteError
from grevy.sweeps.claims import (
    EXPIRY,
    HEARTBEAT,
    claimed,
    holder,
    holders,
    process_start,
    this_process,
)

RUN = "0123456789ab"


def write_claim(folder, number=0, age=0.0, **owner):
    path = folder / f"{RUN}.{number:03d}.claim"
    path.write_text(json.dumps({**vars(this_process()), **owner}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def dead_process():
    done = subprocess.Popen([sys.executable, "-c", ""])
    started = process_start(done.pid)
    done.wait()
    return {"pid": done.pid, "started": started or "then"}


def test_a_claim_holds_for_its_block(tmp_path):
    folder = tmp_path / "claims"
    with claimed(folder, RUN) as ours:
        assert ours
        assert holder(folder, RUN) == this_process()
        assert holders(folder) == {RUN: this_process()}
        with claimed(folder, RUN) as again, claimed(folder, "f" * 12) as other:
            assert (again, other) == (False, True)
    assert list(folder.iterdir()) == []


def test_a_claim_ends_with_an_error_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path, RUN):
        raise KeyboardInterrupt
    assert holder(tmp_path, RUN) is None


def test_one_of_many_gets_it(tmp_path):
    start, hold = threading.Barrier(8), threading.Barrier(8)

    def attempt(_):
        start.wait()
        with claimed(tmp_path, RUN) as ours:
            hold.wait()
            return ours

    for number in range(20):
        if number % 2:
            write_claim(tmp_path, **dead_process())
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(attempt, range(8))) == 1
        assert list(tmp_path.iterdir()) == []


def test_a_dead_owner_loses_it(tmp_path):
    write_claim(tmp_path, **dead_process())
    assert holder(tmp_path, RUN) is None
    assert holders(tmp_path) == {}
    with claimed(tmp_path, RUN) as ours:
        assert ours
        assert {path.name for path in tmp_path.iterdir()} == {
            f"{RUN}.000.claim", f"{RUN}.001.claim",
        }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_another_process_with_the_same_number_is_another(tmp_path):
    write_claim(tmp_path, started="yesterday")
    assert holder(tmp_path, RUN) is None


@pytest.mark.parametrize(("age", "holds"), [(0, True), (EXPIRY - 60, True), (EXPIRY + 60, False)])
def test_an_owner_elsewhere_lives_as_long_as_its_heart_beats(tmp_path, age, holds):
    write_claim(tmp_path, age=age, host="another machine")
    assert (holder(tmp_path, RUN) is not None) == holds
    with claimed(tmp_path, RUN) as ours:
        assert ours == (not holds)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"odd": "claim"}'])
def test_a_claim_cut_off_as_it_was_made_counts_for_a_moment(tmp_path, text):
    path = tmp_path / f"{RUN}.000.claim"
    path.write_text(text)
    assert holder(tmp_path, RUN) is not None
    os.utime(path, (time.time() - HEARTBEAT - 5,) * 2)
    assert holder(tmp_path, RUN) is None


def test_a_heart_beats(tmp_path, monkeypatch):
    monkeypatch.setattr("grevy.sweeps.claims.HEARTBEAT", 0.01)
    with claimed(tmp_path, RUN):
        path = tmp_path / f"{RUN}.000.claim"
        os.utime(path, (1.0, 1.0))
        end = time.monotonic() + 30
        while path.stat().st_mtime == 1.0 and time.monotonic() < end:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1.0


def test_where_nothing_can_be_written_it_is_said(tmp_path):
    (tmp_path / "claims").write_text("")
    with pytest.raises(WriteError, match="cannot be written"), claimed(tmp_path / "claims", RUN):
        pass


def test_a_process_that_is_not_there_has_no_start():
    assert process_start(os.getpid()) == process_start(os.getpid()) != None  # noqa: E711
    assert process_start(2**22 + 1) is None
