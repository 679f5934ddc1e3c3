"""Time the whole command of `make run`, imports and page included, of one or two source trees."""

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]

# Runs `grevy` with the functions below timed, each without those that it calls among them, and
# writes seconds of the processor, by name, to the file that is named first.
TIMED = """
import importlib, json, sys, time
file, *arguments = sys.argv[1:]
now, spent, names = time.process_time, {}, ["everything else"]
last = now()

def switch(name):
    global last
    at = now()
    spent[names[-1]] = spent.get(names[-1], 0.0) + at - last
    last = at
    if name:
        names.append(name)
    else:
        names.pop()

def timed(name, module, function):
    home = importlib.import_module(module)
    plain = getattr(home, function)
    def instead(*given, **named):
        switch(name)
        try:
            return plain(*given, **named)
        finally:
            switch(None)
    setattr(home, function, instead)

switch("imports")
from grevy.cli import main
import grevy.model, grevy.runs
switch(None)
timed("data", "grevy.runs.experiment", "load_recordings")
timed("training", "grevy.model.estimator", "train")
timed("evaluation", "grevy.runs.experiment", "assess")
timed("figures", "grevy.runs.experiment", "draw")
timed("figures", "grevy.archive", "write_figure")
timed("figures", "grevy.report.files", "_figures")
timed("page", "grevy.report.files", "report_html")
timed("archive", "grevy.runs.experiment", "write_outcome")
sys.argv = ["grevy", *arguments]
try:
    main()
finally:
    switch("end")
    with open(file, "w") as stream:
        json.dump(spent, stream)
"""


class Spent(NamedTuple):
    """Seconds of one process: on the clock, and of the processor."""

    clock: float
    processor: float


def command_of_make() -> list[str]:
    """Return the arguments of `grevy` in the Makefile's target `run`."""
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    found = re.search(r"^\t\$\(BIN\)/grevy (run .*)$", text, re.MULTILINE)
    assert found, "the Makefile's target `run` calls no `grevy run`"
    return shlex.split(found[1])


def spend(source: Path, arguments: Sequence[str]) -> Spent:
    """Run Python on a source tree to its end."""
    environment = {**os.environ, "PYTHONPATH": str(source)}
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
    after, ended = os.times(), time.perf_counter()
    processor = (
        after.children_user + after.children_system - before.children_user - before.children_system
    )
    return Spent(ended - began, processor)


def in_turn(
    sources: Sequence[Path], programs: Sequence[Sequence[str]], repeats: int
) -> list[list[Spent]]:
    """Run one program on each source, all in turn, so many times."""
    found: list[list[Spent]] = [[] for _ in sources]
    for _ in range(repeats):
        for place, (source, program) in enumerate(zip(sources, programs, strict=True)):
            found[place].append(spend(source, program))
    return found


def say(what: str, names: Sequence[str], found: Sequence[Sequence[Spent]]) -> None:
    """Print medians, and of each source the median ratio to the first, pair by pair."""
    for name, own in zip(names, found, strict=True):
        clock, processor = (statistics.median(each) for each in zip(*own, strict=True))
        ratios = [
            mine.processor / first.processor for mine, first in zip(own, found[0], strict=True)
        ]
        print(
            f"{what:24} {name:14} {clock:6.2f} s, of the processor {processor:6.2f} s, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


def breakdown(source: Path, command: Sequence[str]) -> dict[str, float]:
    """Run the command once; return seconds of the processor by what they were spent on."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "spent.json"
        spend(source, ["-c", TIMED, str(file), *command])
        return json.loads(file.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, help="another source tree's `src`, run in turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--max-iterations", type=int, help="instead of the Makefile's")
    options = parser.parse_args()
    sources, names = [ROOT / "src"], ["this"]
    if options.against:
        sources, names = [options.against.resolve(), *sources], ["before", *names]
    with tempfile.TemporaryDirectory() as folder:
        command = [*command_of_make(), "--output-dir", str(Path(folder) / "run")]
        place = command.index("--output-dir")
        del command[place : place + 2]  # the Makefile's own
        if options.max_iterations:
            command[command.index("--max-iterations") + 1] = str(options.max_iterations)
        whole = [["-m", "grevy", *command]] * len(sources)
        say("the whole command", names, in_turn(sources, whole, options.repeats))
        imports = [["-c", "import torch"], *[["-c", "import grevy; grevy.CEBRA"]] * len(sources)]
        found = in_turn([sources[0], *sources], imports, options.repeats)
        say("import grevy.CEBRA", ["import torch", *names], found)
        parts = [breakdown(source, command) for source in sources]
    print(f"\n{'seconds of the processor':24} {' '.join(f'{name:>8}' for name in names)}")
    for part in dict.fromkeys(part for each in parts for part in each):
        print(f"{part:24} {' '.join(f'{each.get(part, 0):8.2f}' for each in parts)}")


if __name__ == "__main__":
    main()
