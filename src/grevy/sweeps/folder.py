"""The folder of a sweep: what was asked for, the runs that it means, and a folder for each."""

import errno
import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grevy.archive import MANIFEST, REPORT, RunFolder, read_manifest
from grevy.atomic import WriteError, whole_file
from grevy.config import config_text
from grevy.errors import GrevyError
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.reading import SweepFile, read_sweep

SWEEP, PLAN, RUNS, CLAIMS = "sweep.yaml", "plan.jsonl", "runs", "claims"
ERROR = "logs/error.txt"
# A larger plan is none of ours, and is not read into memory.
PLAN_BYTES = 2**28


@dataclass(frozen=True)
class SweepFolder:
    """A folder that holds, or will hold, one sweep.

    Attributes
    ----------
    root : Path
    """

    root: Path

    @property
    def begun(self) -> bool:
        """Whether it holds a sweep."""
        return (self.root / SWEEP).is_file()

    @property
    def planned(self) -> bool:
        """Whether it holds the plan of the sweep too."""
        return (self.root / PLAN).is_file()

    @property
    def claims(self) -> Path:
        """The folder of what is being done."""
        return self.root / CLAIMS

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.root / RUNS

    def run(self, run_id: str) -> RunFolder:
        """Return the folder of a run."""
        return RunFolder(self.runs / run_id)

    def done(self, run_id: str) -> bool:
        """Tell whether a run is finished, page and all."""
        folder = self.run(run_id)
        if not folder.finished:
            return False
        with suppress(GrevyError):
            return REPORT in read_manifest(folder)["files"]
        return False  # damaged: the run itself will say so

    def error(self, run_id: str) -> str | None:
        """Return why a run has failed; None if it has not."""
        try:
            return (self.run(run_id) / ERROR).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def write_error(self, run_id: str, text: str) -> None:
        """Keep why a run has failed."""
        with whole_file(self.run(run_id) / ERROR) as stream:
            stream.write(text.encode("utf-8", errors="replace"))

    def forget_error(self, run_id: str) -> None:
        """Let a failed run be tried again."""
        (self.run(run_id) / ERROR).unlink(missing_ok=True)
        self._deaths(run_id).unlink(missing_ok=True)

    def _deaths(self, run_id: str) -> Path:
        return self.claims / f"{run_id}.deaths"

    def note_death(self, run_id: str, reason: str) -> list[str]:
        """Note that a run has ended the process that did it; return all such reasons."""
        path = self._deaths(run_id)
        before = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        deaths = [*(str(json.loads(line)) for line in before), reason]
        with whole_file(path) as stream:
            stream.write("".join(f"{json.dumps(each)}\n" for each in deaths).encode())
        return deaths


def check_place(root: Path) -> None:
    """Refuse a folder that holds something else than a sweep.

    Raises
    ------
    GrevyError
        If it is a file, or holds anything and no sweep.
    """
    try:
        there = {each.name for each in root.iterdir() if not each.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise GrevyError(
            f"`output={root}` cannot be used: {error.strerror}. Give a folder for the sweep."
        ) from error
    other = sorted(there - {SWEEP, RUNS, CLAIMS})
    if PLAN not in there and (other or (there and SWEEP not in there)):
        what = "holds a run" if MANIFEST in there else f"holds other things ({min(other or there)})"
        raise GrevyError(
            f"`output={root}` {what} and no sweep. Choose an empty folder, or one that is not "
            f"there yet."
        )


def read_recorded(folder: SweepFolder) -> SweepFile | None:
    """Read the sweep that a folder was begun with; None if there is none."""
    return read_sweep(folder.root / SWEEP, trust=True) if folder.begun else None


def record_sweep(folder: SweepFolder, file: SweepFile) -> bool:
    """Write what was asked for, with all that was drawn, unless somebody else has just done so.

    Returns
    -------
    bool
        Whether it was written.
    """
    path = folder.root / SWEEP
    whole = path.with_name(f".{SWEEP}.{os.getpid()}")
    try:
        with whole_file(whole) as stream:
            stream.write(config_text(file.as_mapping()).encode())
        os.link(whole, path)  # whole, and by one alone
    except FileExistsError:
        return False
    except WriteError as error:
        raise WriteError(str(error).replace(whole.name, path.name)) from error
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise WriteError(f"{path} cannot be written: {error.strerror}.") from error
        whole.replace(path)  # no links there
    finally:
        whole.unlink(missing_ok=True)
    return True


def check_room(folder: SweepFolder) -> None:
    """Refuse a folder that cannot be written to, or is on a full disk.

    Raises
    ------
    WriteError
        If a file of a few kilobytes cannot be written.
    """
    path = folder.claims / f".room.{os.getpid()}"
    with whole_file(path) as stream:
        stream.write(bytes(2**14))
    path.unlink(missing_ok=True)


def write_plan(folder: SweepFolder, plan: Iterable[PlannedRun]) -> None:
    """Write the plan, a run a line."""
    lines = [
        json.dumps(
            {
                "run_id": each.run_id,
                "settings": each.settings,
                "varied": list(each.varied),
                "data": each.data,
            }
        )
        for each in plan
    ]
    with whole_file(folder.root / PLAN) as stream:
        stream.write("".join(f"{line}\n" for line in lines).encode())


def read_plan(folder: SweepFolder) -> tuple[PlannedRun, ...] | None:
    """Read the plan back; None if there is none yet.

    Raises
    ------
    GrevyError
        If it is damaged.
    """
    path = folder.root / PLAN
    try:
        if path.stat().st_size > PLAN_BYTES:
            raise ValueError("too large")
        lines = path.read_text(encoding="utf-8").splitlines()
        if not lines:
            raise ValueError("it is empty")
        return tuple(_planned(json.loads(line)) for line in lines)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged_plan(folder, " ".join(str(error).split())[:200]) from error


def damaged_plan(folder: SweepFolder, reason: str) -> GrevyError:
    """Make the error for a plan that cannot be used."""
    return GrevyError(
        f"{folder.root / PLAN} is damaged ({reason}). Remove it, and `grevy sweep` writes it again."
    )


def _planned(found: Any) -> PlannedRun:
    name = found["run_id"]
    if not isinstance(name, str) or len(name) != 12 or set(name) - set("0123456789abcdef"):
        raise ValueError("a name of a run that is none")
    settings = dict(found["settings"])
    return PlannedRun(name, settings, tuple(map(str, found["varied"])), str(found["data"]))
