"""From the file of a sweep to the runs that it asks for; what is left to chance is drawn once."""

import json
import math
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from grevy.config import RunConfig, incidental_settings, list_settings, make_config, run_id
from grevy.errors import GrevyError, Problems
from grevy.runs import settle_base
from grevy.sweeps.reading import SweepFile

MAX_RUNS = 10_000
"""The most runs of a sweep: each is a folder of a dozen files."""
# How often in a row a draw may be one that was drawn before, until there seem to be no others.
_PATIENCE = 1000


@dataclass(frozen=True)
class PlannedRun:
    """A run that a sweep will do.

    A plan is a tuple of these. What chooses runs by the results of others makes further ones.

    Attributes
    ----------
    run_id : str
        12 hexadecimal digits, of the settings asked for and the data; the name of its folder.
    settings : dict
        As asked for, by name; those left out have their usual value.
    varied : tuple of str
        Which of the settings differ between the runs of the sweep.
    data : str
        Checksum of the data.
    """

    run_id: str
    settings: dict[str, Any]
    varied: tuple[str, ...]
    data: str

    @property
    def label(self) -> str:
        """What tells it from the others, in words."""
        return described(self.settings, self.varied)


def described(settings: Mapping[str, Any], varied: Iterable[str]) -> str:
    """Say settings in one line: ``seed=3 learning_rate=0.001``."""
    return " ".join(f"{name}={_plain(settings[name])}" for name in varied if name in settings)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def settle(file: SweepFile, recorded: SweepFile | None = None) -> SweepFile:
    """Draw what the file leaves to chance, or take what was drawn when the sweep began.

    Parameters
    ----------
    file : SweepFile
    recorded : SweepFile, optional
        What this returned then.

    Returns
    -------
    SweepFile
        With a seed for every run, and with every draw.

    Raises
    ------
    GrevyError
        If there are too many runs, fewer different draws than asked for, or the sweep that began
        is another one.
    """
    _check_size(file)
    settled = file
    if file.random and file.drawn is None:
        same = recorded is not None and recorded.random == file.random
        known = recorded.drawn if recorded is not None and same else None
        settled = replace(settled, drawn=_draws(file) if known is None else known)
    if any(map(_lacks_seed, settings_of_runs(settled))):
        known_seed = recorded.base.get("seed") if recorded is not None else None
        seed = secrets.randbits(32) if known_seed is None else known_seed
        settled = replace(settled, base={**settled.base, "seed": seed})
    if recorded is not None and _plain_data(settled) != _plain_data(recorded):
        here, there = _plain_data(settled), _plain_data(recorded)
        differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        raise GrevyError(
            f"the folder holds another sweep: it differs in {', '.join(differing)}. Choose another "
            f"folder, or give the file that it was begun with."
        )
    return settled


def _plain_data(file: SweepFile) -> dict[str, Any]:
    return dict(json.loads(json.dumps(file.as_mapping())))


def count_runs(file: SweepFile) -> int:
    """Count the runs that a sweep asks for."""
    return (
        max(1, len(file.listed))
        * math.prod(map(len, file.grid.values()))
        * max(1, file.random_runs if file.drawn is None else len(file.drawn))
    )


def _check_size(file: SweepFile) -> None:
    count = count_runs(file)
    if count > MAX_RUNS:
        sizes = [
            *([f"{len(file.listed)} entries of list"] if file.listed else []),
            *(f"{len(values)} of {name}" for name, values in file.grid.items()),
            *([f"{file.random_runs} draws"] if file.random else []),
        ]
        raise GrevyError(
            f"the sweep asks for {count} runs ({' x '.join(sizes)}), more than {MAX_RUNS}. Leave "
            f"values out, or draw some of all combinations with `random`."
        )


def _draws(file: SweepFile) -> list[dict[str, Any]]:
    """Draw as often as the file says; no draw comes twice."""
    rng = random.Random(secrets.randbits(64))
    found: dict[str, dict[str, Any]] = {}
    failed = 0
    while len(found) < file.random_runs and failed < _PATIENCE:
        drawn = {name: each.draw(rng) for name, each in file.random.items()}
        key = json.dumps(drawn, sort_keys=True)
        failed = failed + 1 if key in found else 0
        found[key] = drawn
    if len(found) < file.random_runs:
        raise GrevyError(
            f"random: 'runs' is {file.random_runs}, and there are about {len(found)} different "
            f"draws. Ask for fewer runs, or use `grid`."
        )
    return list(found.values())


def settings_of_runs(file: SweepFile) -> Iterator[dict[str, Any]]:
    """Yield the settings of each run: every entry of the list, with the grid, with the draws."""
    seed = file.base.get("seed")
    for entry in file.listed or [{}]:
        for values in product(*file.grid.values()):
            for drawn in file.drawn or [{}]:
                own = dict(zip(file.grid, values, strict=True))
                settings = {**file.base, **entry, **own, **drawn}
                if seed is not None and _lacks_seed(settings):
                    settings["seed"] = seed
                yield settings


def _lacks_seed(settings: Mapping[str, Any]) -> bool:
    """Tell whether a run needs a seed; one that adds to a model has the model's."""
    return settings.get("seed") is None and not settings.get("base_model")


def configurations(file: SweepFile) -> list[RunConfig]:
    """Check the settings of every run, and return them in order.

    Raises
    ------
    GrevyError
        Naming all that do not go together, and a run that it is so of; or two runs with the same
        settings.
    """
    found, wrong = [], []
    for settings in settings_of_runs(file):
        try:
            found.append(settle_base(make_config(settings)))
        except GrevyError as error:
            wrong.append((str(error), described(settings, file.varied)))
    raise_problems(wrong)
    _refuse_twins(found, file)
    return found


def raise_problems(wrong: Sequence[tuple[str, str]]) -> None:
    """Raise one error for all problems of runs; the same problem of many runs is said once.

    Parameters
    ----------
    wrong : sequence of (str, str)
        Problem and run, in words.

    Raises
    ------
    GrevyError
        If there is any.
    """
    problems = Problems("sweep")
    counts = Counter(problem for problem, _ in wrong)
    first = dict(reversed(wrong))
    for problem, count in counts.items():
        of = f"{count} runs, first" if count > 1 else "run"
        problems.add(f"{of} {first[problem] or 'alone'}: {problem}")
    problems.raise_if_any()


def _refuse_twins(configs: Sequence[RunConfig], file: SweepFile) -> None:
    places = {"output_dir", *incidental_settings()} - {"data", "label_data", "base_model"}
    seen: dict[str, int] = {}
    for number, config in enumerate(configs, 1):
        deciding = config.model_dump(mode="json", exclude=places)
        key = json.dumps(deciding, sort_keys=True)
        if key in seen:
            raise twins(seen[key], number, config, file.varied)
        seen[key] = number


def twins(first: int, second: int, config: RunConfig, varied: Sequence[str]) -> GrevyError:
    """Make the error for two runs that would be the same."""
    which = described(config.model_dump(mode="json"), varied)
    return GrevyError(
        f"sweep: runs {first} and {second} would be the same ({which}). Remove one of them."
    )


def data_key(config: RunConfig) -> str:
    """Return a text that is the same for runs of the same data settings."""
    names = {each.name for each in list_settings() if each.panel == "Data"} | {"lag"}
    return json.dumps(config.model_dump(mode="json", include=names), sort_keys=True)


def other_data(config: RunConfig) -> GrevyError:
    """Make the error for data that are not those of the plan."""
    files = [config.data, *(each["data"] for each in config.sessions or ())]
    source = config.dataset or ", ".join(filter(None, files))
    return GrevyError(
        f"the data of {source} are not those that the sweep was begun with. Bring them back, or "
        f"choose another folder."
    )


def make_plan(
    file: SweepFile, configs: Sequence[RunConfig], checksums: Mapping[str, str]
) -> tuple[PlannedRun, ...]:
    """Name every run.

    Parameters
    ----------
    file : SweepFile
        Settled.
    configs : sequence of RunConfig
        Of its runs, in order.
    checksums : mapping of str to str
        Of the data, by `data_key`.

    Raises
    ------
    GrevyError
        If two runs would be the same: of two files that hold the same data, say.
    """
    plan: dict[str, PlannedRun] = {}
    for number, (config, settings) in enumerate(
        zip(configs, settings_of_runs(file), strict=True), 1
    ):
        data = checksums[data_key(config)]
        name = run_id(config.model_dump(mode="json"), data)
        if name in plan:
            raise twins(list(plan).index(name) + 1, number, config, file.varied)
        plan[name] = PlannedRun(name, settings, file.varied, data)
    return tuple(plan.values())
