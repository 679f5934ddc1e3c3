"""`grevy sweep` and `grevy status`: flags in, a live table or plain lines out."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grevy.errors import cut_to, shown_line

if TYPE_CHECKING:
    from rich.table import Table

    from grevy.sweeps import Outcome, PlannedRun, Result, Standing, Sweep

Folder = Annotated[Path, typer.Argument(help="Folder of a sweep.", metavar="DIR")]
MOST_LISTED = 20
"""Runs that a list shows, of those that run or have failed."""
# Columns of a terminal: the names in the live table, and what must stay free beside it.
NAMES, ECHO = 18, 4


def sweep(
    file: Annotated[Path, typer.Argument(help="What to run.", metavar="SWEEP.yaml")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the sweep.", metavar="DIR")
    ],
    on: Annotated[
        str, typer.Option(help="here (default): processes of this machine; debug: this one.")
    ] = "here",
    workers: Annotated[
        int | None, typer.Option(help="Runs at once. Default: one for each core.", min=1)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the runs and how long they may take.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed runs again.")
    ] = False,
    checkpoint_minutes: Annotated[
        float, typer.Option(help="How often the training of a run is kept. Default 1.")
    ] = 1.0,
    pick: Annotated[
        bool,
        typer.Option("--pick", help="At the end choose settings, by validation blocks alone."),
    ] = False,
    track: Annotated[
        str | None,
        typer.Option(help="Send finished runs to mlflow, tensorboard or wandb.", metavar="TRACKER"),
    ] = None,
    quiet: Annotated[bool, typer.Option(help="Print only errors.")] = False,
    **settings: Any,
) -> None:
    """Do many runs from one file; started again, do what is missing."""
    from grevy.errors import GrevyError
    from grevy.sweeps import choice_lines, do_sweep, prepare_sweep
    from grevy.sweeps import pick as picked

    if not checkpoint_minutes > 0:
        raise GrevyError(f"`checkpoint_minutes={checkpoint_minutes:g}`: expected a number above 0.")
    ready = prepare_sweep(
        file, output, on=on, trust=bool(settings["trust"]), imports=settings["imports"] or (),
        to_pick=pick,
    )  # fmt: skip
    if dry_run:
        _list_runs(ready, 1 if on == "debug" else workers or ready.threads)
        return
    with _watching(quiet) as audience:
        try:
            standing = do_sweep(
                ready, audience, on=on, workers=workers, retry_failed=retry_failed,
                checkpoint_minutes=checkpoint_minutes, track=track,
            )  # fmt: skip
        except (KeyboardInterrupt, SystemExit):
            print(
                "grevy: stopped; what was running is kept. The same command goes on with it.",
                file=sys.stderr,
            )
            raise
    if not quiet:
        print("\n".join(described(standing)))
    if pick and standing.done and not (quiet or ready.file.search):  # a search has said so
        print("\n".join(choice_lines(picked(ready.folder.runs))))
    if standing.failed:
        raise SystemExit(1)


def status(
    folder: Folder,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how a sweep stands, from its folder alone."""
    from grevy.sweeps import read_standing

    standing = read_standing(folder)
    print(json.dumps(as_json(standing), indent=2) if json_ else "\n".join(described(standing)))


def _list_runs(ready: "Sweep", at_once: int) -> None:
    """Print every run, and how long all of them may take."""
    from grevy.sweeps import read_standing

    if search := ready.file.search:
        names = ", ".join(search.space)
        print(f"{search.trials} trials over {names}; settings follow from the trials before.")
        return

    for run in ready.plan:
        state = "  done" if ready.folder.done(run.run_id) else ""
        print(f"{run.run_id}  {shown_line(run.label)}{state}")
    standing = read_standing(ready.folder.root) if ready.folder.planned else None
    seconds = standing.seconds_left(at_once) if standing else None
    runs = standing.left + len(standing.running) if standing else len(ready.plan)
    takes = f"about {duration(seconds)}" if seconds is not None else "unknown, as none is finished"
    print(f"\n{runs} runs to do, {at_once} at once. Time: {takes}.")
    if not ready.folder.begun and ready.file.random:
        print("What is random is drawn anew when the sweep starts.")


def described(standing: "Standing") -> list[str]:
    """Say in lines how a sweep stands."""
    lines = [
        f"{standing.done} of {standing.total} done, {len(standing.running)} running, "
        f"{len(standing.failed)} failed, {standing.left} left"
    ]
    for run, owner in standing.running[:MOST_LISTED]:
        lines.append(f"  running  {_named(run)}  on {owner.host}, process {owner.pid}")
    for run, reason in standing.failed[:MOST_LISTED]:
        lines.append(f"  failed   {_named(run)}  {cut_to(reason, 200)}")
    if len(standing.failed) > MOST_LISTED:
        lines.append(f"  ... and {len(standing.failed) - MOST_LISTED} more")
    if standing.leading:
        lines.append(_leading(standing.leading))
    lines += standing.notes
    seconds = standing.seconds_left()
    if standing.running and seconds is not None:
        lines.append(f"time left: about {duration(seconds)}")
    if standing.failed:
        lines.append(
            "logs/error.txt in the folder of a failed run says why; `grevy sweep ... "
            "--retry-failed` tries again."
        )
    return [shown_line(line) for line in lines]


def as_json(standing: "Standing") -> dict[str, Any]:
    """Return how a sweep stands, for programs."""
    leading = standing.leading
    return {
        "total": standing.total,
        "done": standing.done,
        "left": standing.left,
        "running": [
            {"run_id": run.run_id, "host": owner.host, "pid": owner.pid}
            for run, owner in standing.running
        ],
        "failed": [{"run_id": run.run_id, "reason": reason} for run, reason in standing.failed],
        "notes": list(standing.notes),
        "leading": leading
        and {
            "run_id": leading.run.run_id,
            "metric": leading.metric,
            "value": leading.value,
            "is": leading.extreme,
        },
        "seconds_per_run": standing.seconds,
        "seconds_left": standing.seconds_left(),
    }


def _named(run: "PlannedRun") -> str:
    return f"{run.run_id}  {cut_to(run.label, 120)}"


def _leading(result: "Result") -> str:
    """Say which run is ahead; not that it is the best, which a score cannot say of itself."""
    score = f"{result.metric} {result.value:.4g}"
    return f"{result.extreme} so far: {score}, by {_named(result.run)}"


def duration(seconds: float) -> str:
    """Say a time in the two units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min" + f" {rest} s" * (minutes < 10)
    return f"{hours} h {minutes} min"


class _Lines:
    """Says in lines what happens, and counts; `Table` shows the same numbers as they change."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet

    def begins(self, sweep: "Sweep", standing: "Standing", at_once: int) -> None:
        """Take note of how it stands at the start."""
        from grevy.sweeps import comparable

        self.folder, self.at_once = sweep.folder, at_once
        self.total, self.before = standing.total, standing.done
        self.done, self.failed = standing.done, len(standing.failed)
        self.leading, self.began = standing.leading, time.monotonic()
        self._comparable = comparable(sweep.plan)
        self._in_search = sweep.file.search is not None
        if not self._quiet:
            left = self.total - self.done - self.failed
            self._say(
                f"{self.total} runs in {sweep.folder.root}: {self.done} done, {self.failed} "
                f"failed, {left} to do, {at_once} at once"
            )

    def ended(self, outcome: "Outcome") -> None:
        """Take note that a run has ended."""
        from grevy.sweeps import read_result

        text = f"{_named(outcome.run)}"
        if outcome.state == "failed":
            self.failed += 1
            self._say(f"failed   {text}  {cut_to(outcome.message, 300)}")
            return
        self.done += 1
        if outcome.state == "given up":
            self._say_done(f"{self.done}/{self.total}  {text}  {outcome.message}")
            return
        result = read_result(self.folder, outcome.run, self._in_search)
        if result is not None and self._comparable and result.beats(self.leading):
            self.leading = result
        if not self._quiet:
            score = f"{result.metric} {result.value:.4g}" if result else "no score"
            self._say_done(f"{self.done}/{self.total}  {text}  {score}  {outcome.seconds:.1f} s")

    def died(self, run: "PlannedRun", reason: str) -> None:
        """Take note that a run has ended its worker."""
        self._say(f"again    {_named(run)}  {cut_to(reason, 300)}")

    def look(self) -> None:
        """Show how it stands: a line has said it."""

    def stops(self) -> None:
        """Say that what runs is being kept."""
        self._say("stopping: what is running is being kept. Ctrl-C again ends it at once.")

    def left(self) -> int:
        """Count what is neither done nor failed."""
        return self.total - self.done - self.failed

    def seconds_left(self) -> float | None:
        """Estimate the rest by what was done since the start."""
        done = self.done - self.before
        return (time.monotonic() - self.began) / done * self.left() if done else None

    def _say(self, line: str) -> None:
        print(shown_line(line), file=sys.stderr, flush=True)

    def _say_done(self, _line: str) -> None:
        self._say(_line)

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_error: object) -> None:
        pass


class _Table(_Lines):
    """A live table on a terminal; what fails is said above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        super().__init__(quiet=False)
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._drawn = 0.0

    def __exit__(self, *_error: object) -> None:
        self._live.stop()

    def begins(self, sweep: "Sweep", standing: "Standing", at_once: int) -> None:
        """Take note of how it stands at the start."""
        super().begins(sweep, standing, at_once)
        self._live.start()
        self._draw()

    def look(self) -> None:
        """Show how it stands."""
        self._draw()

    def _say(self, line: str) -> None:
        self._console.print(shown_line(line), markup=False, highlight=False)

    def _say_done(self, _line: str) -> None:
        self._draw()

    def _draw(self) -> None:
        if time.monotonic() - self._drawn > 0.25:
            self._live.update(self._table(), refresh=True)
            self._drawn = time.monotonic()

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        from grevy.sweeps import running_runs

        table = Table(show_header=False, box=None)
        table.add_column(no_wrap=True)
        # What Ctrl-C echoes at the end of a line has to stay on it, or lines are left behind.
        table.add_column(max_width=max(10, self._console.width - NAMES - ECHO), overflow="fold")
        seconds = self.seconds_left()
        leading = self.leading
        running = running_runs(self.folder)
        rows = {
            "done": f"{self.done} of {self.total}",
            "running": str(len(running)),
            "failed": str(self.failed),
            "left": str(max(0, self.left() - len(running))),
            f"{leading.extreme if leading else 'highest'} so far": (
                f"{leading.metric} {leading.value:.4g}" if leading else ""
            ),
            "by": _named(leading.run) if leading else "",
            "time left": "" if seconds is None else f"about {duration(seconds)}",
        }
        for name, value in rows.items():
            table.add_row(name, Text(shown_line(value)))
        return table


def _watching(quiet: bool) -> _Lines:
    return _Table() if sys.stderr.isatty() and not quiet else _Lines(quiet)
