"""A recording added to a model that is trained: its settings, its encoder, and what stays."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grevy.archive import MODEL, RunFolder, file_checksum, read_run
from grevy.config import (
    RunConfig,
    known_settings,
    make_config,
    refuse_imports,
    settings_of_a_file,
)
from grevy.data import Recording, import_module, names_of
from grevy.errors import GrevyError
from grevy.runs.finished import SETTLED, made_from
from grevy.runs.preparing import make_model

if TYPE_CHECKING:
    from grevy.model import CEBRA

# What may be another in adding a recording than it was in the training before.
FREE = ("max_iterations", "learning_rate", "batch_size", "num_negatives", "device", "verbose")
# What of a run says which steps its encoders have seen.
HELD_OUT = ("holdout", "split", "seed")
# What trains encoders anew, which are to stay as they are.
TRAINED_ANEW: dict[str, Any] = {
    "folds": 0, "null_retrain": False, "seeds": 1, "validation": 0.0, "patience": None,
}  # fmt: skip


def adding_config(target: Path, given: dict[str, Any]) -> RunConfig:
    """Make the settings of a run that adds a recording to a run, or to a model.

    Parameters
    ----------
    target : Path
        The folder of a run, or a ``.pt`` file of a model of one recording.
    given : dict
        Settings of the new recording, by name, and others that may differ from those before.

    Returns
    -------
    RunConfig
        Of a run of several recordings: these, and the new one last. Of one recording: the new one
        alone.

    Raises
    ------
    GrevyError
        If the target is neither, or settings do not fit it.
    """
    data = given.get("data")
    if isinstance(data, list | tuple) and len(data) != 1:
        raise GrevyError(f"{len(data)} data files: one recording is added at a time.")
    if not data:
        raise GrevyError("say with `data=FILE` which recording is to be added.")
    if target.is_dir():
        settings = _settings_of_run(target, given)
    else:
        settings = _settings_of_model(target, given)
    own = {name: value for name, value in given.items() if value is not None}
    if settings.get("sessions"):
        names = ("data", *settings_of_a_file())
        new = {name: own.pop(name) for name in names if name in own}
        new["data"] = data if isinstance(data, str) else data[0]
        settings["sessions"] = [*settings["sessions"], new]
    return make_config({**settings, **TRAINED_ANEW, **own, "base_model": str(target)})


def _settings_of_run(target: Path, given: dict[str, Any]) -> dict[str, Any]:
    run = read_run(RunFolder(target))
    if not given.get("trust"):
        refuse_imports(f"the run {target}", run.config, given.get("imports") or ())
    left_out = {"base_model", "base_sha256", "output_dir", "max_iterations", "nulls", "trust"}
    settings = {n: v for n, v in known_settings(run.config).items() if n not in left_out}
    several = len(run.manifest["data"]) > 1
    if several and not settings.get("sessions"):
        raise GrevyError(
            f"{target} is a run of the data set {settings.get('dataset')}, to which no file can be "
            f"added. Give a run whose recordings are files."
        )
    if not several:
        # Of the new recording nothing is known but what is said of it.
        for name in ("dataset", "data", "sessions", *settings_of_a_file()):
            settings.pop(name, None)
    return settings


def _settings_of_model(target: Path, given: dict[str, Any]) -> dict[str, Any]:
    for module in given.get("imports") or ():
        import_module(module)
    model = _load(target, "cpu", bool(given.get("trust")))
    if model.num_sessions_ is not None:
        raise GrevyError(
            f"{target} is a model of {model.num_sessions_} recordings, and to place a new one "
            f"beside them takes these recordings. Give the folder of the run that made it."
        )
    known = {**model.get_params(), "seed": model.seed_}
    return {
        name: value
        for name, value in known.items()
        if name in RunConfig.model_fields and name not in ("device", "max_iterations")
    }


def settle_base(config: RunConfig) -> RunConfig:
    """Fill in the checksum of the model that a recording is added to, or compare it.

    Raises
    ------
    GrevyError
        If there is no such model, or it is another than the checksum says.
    """
    if config.base_model is None:
        return config
    path = _model_file(Path(config.base_model))
    if not path.is_file():
        raise GrevyError(
            f"`base_model={config.base_model}`: there is no model. Give the folder of a finished "
            f"run, or a .pt file."
        )
    found = file_checksum(path)
    if config.base_sha256 not in (None, found):
        raise GrevyError(
            f"`base_model={config.base_model}`: the model there is another one: its SHA-256 is "
            f"{found[:12]}..., and `base_sha256` says {str(config.base_sha256)[:12]}..."
        )
    return config.model_copy(update={"base_sha256": found, "folds": 0})


def check_base(config: RunConfig, recordings: Sequence[Recording]) -> None:
    """Check that recordings which a model has trained on are those, and hold out the same steps.

    Raises
    ------
    GrevyError
        If a recording is another one now, or other steps would be held out than were before.
    """
    if config.base_model is None or len(recordings) < 2:
        return
    target = Path(config.base_model)
    if not target.is_dir():
        raise GrevyError(
            f"`base_model={target}`: which steps of the other recordings a model has seen is known "
            f"of a run alone. Give the folder of the run that made it."
        )
    run = read_run(RunFolder(target))
    if not made_from(run, recordings[:-1]):
        names = ", ".join(names_of(recordings)[:-1])
        raise GrevyError(
            f"{names}: not the data that {target} was made from, or read in another way. A "
            f"recording can be added to those of the run alone, as they were."
        )
    for name in HELD_OUT:
        there, here = run.config.get(name), getattr(config, name)
        if here != there:
            raise GrevyError(
                f"`{name}={here}`: the encoders of {target} were trained with {there}; other steps "
                f"would test on what they have seen. Leave it out."
            )


def run_model(config: RunConfig, verbose: bool) -> "CEBRA":
    """Make the model of a run: a new one, or the one that a recording is to be added to.

    Raises
    ------
    GrevyError
        If the model cannot be read, or was made with other settings than these.
    """
    wanted = make_model(config, verbose)
    if config.base_model is None:
        return wanted
    model = _load(_model_file(Path(config.base_model)), wanted.device, config.trust)
    parameters = inspect.signature(type(model)).parameters
    for name in parameters.keys() & RunConfig.model_fields.keys() - {*FREE, "seed"}:
        here, there = getattr(wanted.parameters, name), getattr(model.parameters, name)
        left_open = there is None and name in SETTLED
        if here != there and not left_open:
            raise GrevyError(
                f"`{name}={here}`: the model that a recording is added to has {there}. Leave it "
                f"out, or train a new model."
            )
    if config.seed not in (None, model.seed_):
        raise GrevyError(f"`seed={config.seed}`: the model has {model.seed_}. Leave it out.")
    changed = {name: getattr(wanted, name) for name in FREE if name in parameters}
    del changed["max_iterations"]
    return model.set_params(**changed, max_adapt_iterations=config.max_iterations)


def _model_file(target: Path) -> Path:
    return RunFolder(target) / MODEL if target.is_dir() else target


def _load(path: Path, device: str, trust: bool) -> "CEBRA":
    from grevy.model import CEBRA

    return CEBRA.load(path, weights_only=False if trust else None, map_location=device)
