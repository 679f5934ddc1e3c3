"""How many threads: every source of a limit, from files made here, whole and broken."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from grevy.engine import threads
from grevy.engine.threads import cgroup_quota, granted, thread_count


@pytest.fixture
def groups(tmp_path):
    """A function that writes files of control groups and reads the quota: membership, files."""

    def read(membership, files):
        (tmp_path / "membership").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return cgroup_quota(tmp_path / "membership", tmp_path / "cgroup")

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("200000 100000\n", 2),
        ("250000 100000\n", 3),
        ("1000 100000\n", 1),
        ("100000 50000\n", 2),
        ("6400000 100000", 64),
        ("max 100000\n", None),
        ("max\n", None),
        ("200000\n", None),
        ("0 100000\n", None),
        ("-1 100000\n", None),
        ("200000 0\n", None),
        ("200000 -1\n", None),
        ("two three\n", None),
        ("1.5 2\n", None),
        ("1 2 3\n", None),
        ("\x00\x00", None),
        ("", None),
    ],
)
def test_a_quota_of_version_2(groups, text, expected):
    assert groups("0::/job\n", {"job/cpu.max": text}) == expected


@pytest.mark.parametrize(
    ("quota", "period", "expected"),
    [
        ("200000\n", "100000\n", 2),
        ("150000\n", "100000\n", 2),
        ("-1\n", "100000\n", None),
        ("0\n", "100000\n", None),
        ("200000\n", "0\n", None),
        ("200000\n", "", None),
        ("max\n", "100000\n", None),
        ("", "", None),
    ],
)
@pytest.mark.parametrize("controllers", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
def test_a_quota_of_version_1(groups, controllers, quota, period, expected):
    files = {"job/cpu.cfs_quota_us": quota, "job/cpu.cfs_period_us": period}
    mounted = {f"{controllers}/{name}": text for name, text in files.items()}
    assert groups(f"5:memory:/other\n3:{controllers}:/job\n", mounted) == expected


def test_the_least_of_all_groups_above_counts(groups):
    files = {
        "cpu.max": "900000 100000",
        "a/cpu.max": "300000 100000",
        "a/b/cpu.max": "max 100000",
        "a/b/c/cpu.max": "500000 100000",
        "other/cpu.max": "100000 100000",
        "a/b/c/below/cpu.max": "100000 100000",
    }
    assert groups("0::/a/b/c\n", files) == 3


@pytest.mark.parametrize("path", ["/docker/0123", "/../../docker/0123", "/", ""])
def test_a_container_sees_its_own_group_as_the_root(groups, path):
    """The names above, of the host, are not there."""
    assert groups(f"0::{path}\n", {"cpu.max": "200000 100000"}) == 2
    files = {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}
    assert groups(f"4:cpu,cpuacct:{path}\n", files) == 1


def test_both_versions_at_once(groups):
    files = {
        "cpu/cpu.cfs_quota_us": "400000",
        "cpu/cpu.cfs_period_us": "100000",
        "unified/x/cpu.max": "300000 100000",
    }
    assert groups("1:cpu:/\n", files) == 4
    assert groups("1:cpu:/\n0::/x\n", files) == 3


@pytest.mark.parametrize(
    "membership", ["", "\n\n", "0", "0:", "::", "nonsense", "0::\n", "1:cpuset:/a\n", "a:b:c:d\n"]
)
def test_a_membership_that_says_nothing(groups, membership):
    assert groups(membership, {"a/cpu.max": "100000 100000"}) is None


def test_nothing_to_read(tmp_path):
    assert cgroup_quota(tmp_path / "absent", tmp_path) is None
    (tmp_path / "membership").write_bytes(b"0::/\xff\xfe\n")
    assert cgroup_quota(tmp_path / "membership", tmp_path) is None
    (tmp_path / "membership").write_text("0::/\n")
    (tmp_path / "cpu.max").mkdir()  # no file
    assert cgroup_quota(tmp_path / "membership", tmp_path) is None


@given(st.text(), st.text())
def test_no_content_is_fatal(tmp_path_factory, membership, content):
    folder = tmp_path_factory.mktemp("groups")
    (folder / "cpu.max").write_text(content, errors="ignore")
    for text in (membership, "0::/\n" + membership):
        (folder / "membership").write_text(text, errors="ignore")
        quota = cgroup_quota(folder / "membership", folder)
        assert quota is None or quota >= 1


@pytest.mark.parametrize(
    ("environment", "processors", "quota", "expected"),
    [
        ({}, 8, None, 8),
        ({}, 8, 2, 2),
        ({}, 1, 2, 1),
        ({}, 0, None, 1),
        ({"SLURM_CPUS_PER_TASK": "3"}, 8, None, 3),
        ({"SLURM_CPUS_PER_TASK": "3"}, 8, 2, 2),
        ({"SLURM_CPUS_PER_TASK": "30"}, 8, None, 8),
        ({"OMP_NUM_THREADS": "5"}, 8, None, 5),
        ({"OMP_NUM_THREADS": "5", "SLURM_CPUS_PER_TASK": "3"}, 2, 1, 5),  # wanted so
        *(({name: bad}, 8, 6, 6)
          for name in ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")
          for bad in ("", "0", "-2", "max", "2.5", "2,4", "²", "9" * 5000)),
    ],
)  # fmt: skip
def test_what_is_granted(environment, processors, quota, expected):
    assert granted(environment, processors, quota) == expected


def test_torchs_number_is_the_most(monkeypatch):
    for torchs, limit, expected in [(1, 4, 1), (4, 2, 2), (64, 64, 64)]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: torchs)  # noqa: B023
        monkeypatch.setattr(threads, "available", lambda: limit)  # noqa: B023
        assert thread_count() == expected


LIMITS = ("OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_is_seen():
    """In a process of its own, bound to one processor."""
    code = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]);"
        "from grevy.engine.threads import available; print(available())"
    )
    kept = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=kept
    )
    assert found.stdout.split() == ["1"]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes are bound by Linux")
def test_a_forked_process_looks_for_itself():
    code = """
import os
from grevy.engine.threads import available
before = available()
if not os.fork():
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    os._exit(available())
print(before == len(os.sched_getaffinity(0)), os.waitstatus_to_exitcode(os.wait()[1]))
"""
    environment = {k: v for k, v in os.environ.items() if k not in LIMITS}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[1] == "1"
