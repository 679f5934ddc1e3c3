"""A search: each trial is a run whose settings follow from the trials before it.

Whoever does a trial asks for its settings, in the process that does it: trials are kept in a file
in the folder of the sweep, which processes of several machines can share. What chooses is the score
on validation blocks, inside the training, as `grevy.sweeps.choosing` says. Held-out time takes no
part. A trial is given up by its goodness of fit there, which is known while it trains.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grevy.config import RunConfig
from grevy.errors import GrevyError
from grevy.sweeps.choosing import pick
from grevy.sweeps.claims import claimed, holders
from grevy.sweeps.drawing import Distribution
from grevy.sweeps.folder import SweepFolder, read_recorded
from grevy.sweeps.planning import PlannedRun
from grevy.sweeps.space import Search
from grevy.sweeps.standing import Standing, read_result
from grevy.sweeps.words import choice_lines
from grevy.sweeps.working import GivenUpError, Outcome, Task, do_run, last_line

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial, Trial

TRIALS = "trials.journal"
# Trials that are drawn evenly before the sampler looks at what they have come to; and trials that
# are never given up, so that there is something to compare with.
FIRST, UNPRUNED = 10, 5
_SLOT, STEPS = "slot", "steps"
_USUAL_STEPS = int(RunConfig.model_fields["max_iterations"].default)


def require_optuna() -> None:
    """Refuse a search where there is nothing to search with.

    Raises
    ------
    GrevyError
        Naming what to install.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise GrevyError(
            f"a search needs optuna ({error}). Install it with `pip install 'grevy[search]'`."
        ) from error


def open_study(folder: SweepFolder, search: Search, seed: int) -> "Study":
    """Open the record of trials, or begin it.

    Parameters
    ----------
    folder : SweepFolder
    search : Search
    seed : int
        Decides what is drawn.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    storage = JournalStorage(JournalFileBackend(str(folder.root / TRIALS)))
    return make_study(search, seed, storage=storage, study_name="search", load_if_exists=True)


def make_study(search: Search, seed: int, **where: Any) -> "Study":
    """Make a study as a search asks for it; `where` as for `optuna.create_study`."""
    import optuna
    from optuna.pruners import MedianPruner, NopPruner
    from optuna.samplers import BaseSampler, RandomSampler, TPESampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler: BaseSampler = RandomSampler(seed=seed)
    if search.sampler == "tpe":
        # Trials that are being done count as bad ones, so that the next is not the same.
        sampler = TPESampler(seed=seed, n_startup_trials=FIRST, constant_liar=True)
    pruner = MedianPruner(n_startup_trials=UNPRUNED) if search.prune else NopPruner()
    return optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner, **where)


def suggested(trial: "Trial", space: dict[str, Distribution]) -> dict[str, Any]:
    """Return the settings of a trial: drawn now, or as they were drawn."""
    found: dict[str, Any] = {}
    for name, each in space.items():
        if each.among:
            # By place: optuna keeps plain values alone.
            place = trial.suggest_categorical(name, list(range(len(each.among))))
            found[name] = each.among[int(place)]
        elif each.whole:
            found[name] = trial.suggest_int(name, int(each.low), int(each.high), log=each.log)
        else:
            found[name] = trial.suggest_float(name, each.low, each.high, log=each.log)
    return found


def watcher(trial: "Trial") -> Callable[[int, float], None]:
    """Make what a training tells its goodness of fit: it is noted, and may end the training.

    Raises
    ------
    GivenUpError
        When called, if the trial does worse than half of those before it did after as many steps.
    """

    def seen(step: int, bits: float) -> None:
        trial.set_user_attr(STEPS, step)
        trial.report(bits, step)
        if trial.should_prune():
            raise GivenUpError(f"given up after {step} steps, at {bits:.3f} bits")

    return seen


def slots(search: Search, base: PlannedRun) -> tuple[PlannedRun, ...]:
    """Make a run for each trial, which has its settings when it is begun."""
    varied = tuple(search.space)
    return tuple(
        replace(base, run_id=f"trial_{number:04d}", varied=varied)
        for number in range(search.trials)
    )


def do_trial(task: Task) -> Outcome:
    """Do a trial of a search, or go on with it; errors as of `do_run`."""
    folder = SweepFolder(task.root)
    search = _search_of(folder)
    number = int(task.run.run_id.removeprefix("trial_"))
    seed = (int(task.run.settings["seed"]) + number) % 2**32
    study = open_study(folder, search, seed)
    with claimed(folder.claims, f"{task.run.run_id}-asked") as ours:
        if not ours:
            return Outcome(task.run, "elsewhere")
        trial = _trial(study, task.run.run_id)
        settings = suggested(trial, search.space)
    run = replace(task.run, settings={**task.run.settings, **settings})
    known = _in_slot(study, run.run_id)
    if known is not None and known.state.name == "PRUNED":
        return Outcome(run, "given up")
    outcome = do_run(replace(task, run=run), watcher(trial))
    if outcome.state != "elsewhere":
        _tell(study, trial, outcome, folder)
    if outcome.state == "given up":
        shutil.rmtree(folder.run(run.run_id).root, ignore_errors=True)
    return outcome


def _search_of(folder: SweepFolder) -> Search:
    file = read_recorded(folder)
    if file is None or file.search is None:
        raise GrevyError(f"{folder.root} holds no search.")
    return file.search


def _trial(study: "Study", slot: str) -> "Trial":
    """Return the trial in a slot: one that was begun, or another."""
    from optuna.trial import Trial, TrialState, create_trial

    known = _in_slot(study, slot)
    if known is not None and known.state is TrialState.FAIL:  # to be tried again
        again = create_trial(
            state=TrialState.RUNNING, params=known.params, distributions=known.distributions,
            user_attrs=known.user_attrs,
        )  # fmt: skip
        study.add_trial(again)
        known = _in_slot(study, slot)
    if known is not None:
        return Trial(study, known._trial_id)
    trial = study.ask()
    trial.set_user_attr(_SLOT, slot)
    return trial


def _in_slot(study: "Study", slot: str) -> "FrozenTrial | None":
    found = [each for each in study.get_trials(False) if each.user_attrs.get(_SLOT) == slot]
    return found[-1] if found else None


def _tell(study: "Study", trial: "Trial", outcome: Outcome, folder: SweepFolder) -> None:
    """Note what a trial has come to."""
    from optuna.trial import TrialState

    state, value = TrialState.FAIL, None
    if outcome.state == "given up":
        state = TrialState.PRUNED
    elif outcome.state == "done":
        result = read_result(folder, outcome.run, in_search=True)
        value = None if result is None else result.sign * result.value
        state = TrialState.FAIL if value is None else TrialState.COMPLETE
    with suppress(ValueError, RuntimeError):  # it was told before
        study.tell(trial, value, state)


def trials_left(folder: SweepFolder, search: Search, base: PlannedRun) -> tuple[PlannedRun, ...]:
    """Return the trials that are neither done nor given up, as runs."""
    begun = _begun(folder, search, base)
    over = {slot for slot, trial in begun.items() if trial.state.name in ("COMPLETE", "PRUNED")}
    return tuple(slot for slot in slots(search, base) if slot.run_id not in over)


def _begun(folder: SweepFolder, search: Search, base: PlannedRun) -> "dict[str, FrozenTrial]":
    """Return all trials that were begun, by slot."""
    if not (folder.root / TRIALS).is_file():
        return {}
    study = open_study(folder, search, int(base.settings["seed"]))
    found = {each.user_attrs.get(_SLOT): each for each in study.get_trials(False)}
    return {str(slot): each for slot, each in found.items() if slot is not None}


def read_standing_of_search(folder: SweepFolder, search: Search, base: PlannedRun) -> Standing:
    """Read how a search stands, what it has chosen, and how good that is.

    Parameters
    ----------
    folder : SweepFolder
    search : Search
    base : PlannedRun
        With the settings that all trials share.
    """
    require_optuna()
    begun, at_work = _begun(folder, search, base), holders(folder.claims)
    done: list[PlannedRun] = []
    given_up: list[tuple[int, int]] = []
    running, failed = [], []
    for slot in slots(search, base):
        trial = begun.get(slot.run_id)
        run = slot if trial is None else replace(slot, settings=_settings(slot, trial, search))
        if trial is not None and trial.state.name == "COMPLETE":
            done.append(run)
        elif trial is not None and trial.state.name == "PRUNED":
            steps = int(run.settings.get("max_iterations", _USUAL_STEPS))
            given_up.append((int(trial.user_attrs[STEPS]), steps))
        elif owner := at_work.get(slot.run_id):
            running.append((run, owner))
        elif error := folder.error(slot.run_id):
            failed.append((run, last_line(error)))
    results = [read_result(folder, run, in_search=True) for run in done]
    known = [each for each in results if each is not None]
    return Standing(
        search.trials,
        len(done) + len(given_up),
        tuple(running),
        tuple(failed),
        max(known, key=lambda each: each.sign * each.value, default=None),
        None,
        tuple(_notes(folder, given_up, is_known=bool(known))),
    )


def _settings(slot: PlannedRun, trial: "FrozenTrial", search: Search) -> dict[str, Any]:
    drawn = {name: trial.params[name] for name in search.space if name in trial.params}
    among = {name: search.space[name].among for name in drawn}
    values = {name: among[name][int(at)] if among[name] else at for name, at in drawn.items()}
    return {**slot.settings, **values}


def _notes(
    folder: SweepFolder, given_up: Sequence[tuple[int, int]], is_known: bool
) -> Iterator[str]:
    """Say what was given up, what is chosen, by what, and how good it is by what did not choose."""
    if given_up:
        taken, whole = (sum(steps) for steps in zip(*given_up, strict=True))
        yield (
            f"given up early: {len(given_up)} trials, after {taken} of their {whole} training steps"
        )
    if is_known:
        yield from choice_lines(pick(folder.runs))
