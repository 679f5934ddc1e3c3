"""What is looked at before anything runs: data that are there, and models that can be made."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grevy.config import RunConfig, make_config
from grevy.errors import GrevyError
from grevy.sweeps.planning import data_key


@dataclass(frozen=True)
class Examination:
    """What a look at data and models has found.

    Attributes
    ----------
    checksums : dict of str to str
        Of the data, by `data_key`; what could not be loaded is missing.
    problems : tuple of (int, str)
        The number of a run, from 0, and why it cannot be done.
    threads : int
        How many can run at once on this machine.
    """

    checksums: dict[str, str]
    problems: tuple[tuple[int, str], ...]
    threads: int


def examine(settings: Sequence[dict[str, Any]], models: bool) -> Examination:
    """Load the data of every run, each once, and make the models; this imports what trains.

    Parameters
    ----------
    settings : sequence of dict
        Of the runs.
    models : bool
        Whether to make the models too.
    """
    from grevy.data import data_checksum
    from grevy.runs import granted_threads, load_recordings

    configs = [make_config(each) for each in settings]
    users: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        users.setdefault(data_key(config), []).append(number)
    checksums, problems = {}, []
    for key, numbers in users.items():
        try:
            recordings = load_recordings(make_config(json.loads(key)))
        except GrevyError as error:
            problems += [(number, str(error)) for number in numbers]
            continue
        checksums[key] = data_checksum(recordings)
        for number in numbers if models else ():
            problem = _problem(configs[number], recordings)
            if problem:
                problems.append((number, problem))
    return Examination(checksums, tuple(sorted(problems)), granted_threads())


def _problem(config: RunConfig, recordings: Any) -> str:
    """Say why a run cannot be done on its recordings; empty if nothing speaks against it."""
    from grevy.runs import check_base, holdout_split, run_model, settle_offsets, smoothing_reach

    try:
        check_base(config, recordings)
        model = run_model(settle_offsets(config, recordings), verbose=False)
        reach = smoothing_reach(config, recordings)
        holdout_split(model, recordings, config.holdout, config.split, reach)
    except GrevyError as error:
        return str(error)
    except Exception as error:  # the model may be the user's own and raise anything
        return f"{type(error).__name__}: {error}"
    return ""
