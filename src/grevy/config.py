"""What decides a run: one flat set of settings, the same in flags, YAML and the archive."""

import hashlib
import json
import re
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from grevy.data import SplitKind, require_file
from grevy.errors import GrevyError, Problems, unknown
from grevy.evaluation import FEWEST_NULLS, USUAL_NULLS

# A larger file of settings is none, and would be read for minutes.
CONFIG_BYTES = 2**20


@dataclass(frozen=True)
class Setting:
    """What there is to say of a setting, wherever it is asked for or listed.

    Attributes
    ----------
    name : str
    panel : str
        The group of settings that it belongs to.
    help : str
        One line, with its default.
    metavar : str or None
        What stands for its value, such as FILE.
    kind : type
        Of the value, or of each where there may be several: int, float, bool or str.
    several : bool
    """

    name: str
    panel: str
    help: str
    metavar: str | None
    kind: type
    several: bool


def _setting(
    panel: str,
    default: Any,
    help: str,
    metavar: str | None = None,
    incidental: bool = False,
    of_file: bool = False,
    **bounds: Any,
) -> Any:
    """Make a field that knows its help; ``{default}`` and ``{choices}`` in it are filled in.

    Parameters
    ----------
    incidental : bool
        It says where, not what: it does not enter the run's identity. What a data file holds
        does, wherever it lies.
    of_file : bool
        It belongs to a data file, not to a data set.
    """
    about: dict[str, Any] = {
        "panel": panel,
        "metavar": metavar,
        "incidental": incidental,
        "of_file": of_file,
    }
    return Field(default, description=help, json_schema_extra=about, **bounds)


_data = partial(_setting, "Data")
_key = partial(_data, None, of_file=True)
_model = partial(_setting, "Model and training")
_sampling = partial(_setting, "Sampling")
_evaluation = partial(_setting, "Evaluation")
_output = partial(_setting, "Output")
_positive: dict[str, Any] = {"gt": 0, "allow_inf_nan": False}


class RunConfig(BaseModel):
    """Settings of a run. Flags of ``grevy run`` are made from them, and so is its help."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    dataset: str | None = _data(None, "Name of a data set; see `grevy datasets`.")
    data: str | None = _data(
        None, "File: .nwb .npy .npz .mat .h5 .csv .parquet .jl", "FILE", incidental=True
    )
    neural: str | None = _key(
        "Key of the neural data (T, N); of an NWB file `units`, or the path of a series.", "KEY"
    )
    bin: float | None = _key(
        "Width of a bin of spikes, in s, for units of an NWB file.", **_positive
    )
    units: str | None = _key(
        "Which units of an NWB file, such as \"quality == 'good' and snr > 3\".", "CONDITION"
    )
    label: tuple[str, ...] = _data(
        (),
        "Label, repeatable. KIND is continuous, circular or discrete; by dtype if left out.",
        "KEY[:KIND[:UNIT]]",
        of_file=True,
    )
    period: float | None = _key("One turn of circular labels; default 2 pi.", **_positive)
    segments: str | None = _key(
        "Key of trial numbers or of [start, stop) runs; of an NWB file a table: trials.", "KEY"
    )
    sampling_rate: float | None = _key("In Hz.", **_positive)
    label_data: str | None = _key(
        "File of labels and segments, if they are in another.", "FILE", incidental=True
    )
    transpose: bool = _data(False, "The arrays are (neurons, time).", of_file=True)
    max_bytes: int | None = _key(
        "Most memory that FILE may unpack to; 1 GiB or 100 times its size if left out.",
        incidental=True,
        ge=1,
    )
    trust: bool = _data(
        False,
        "Allow code to run that FILE (.jl) holds, or a configuration names as imports.",
        incidental=True,
    )
    offline: bool = _data(False, "Never download.", incidental=True)
    imports: tuple[str, ...] = _data(
        (),
        "Import this first, so that what it registers with cebra is known by name.",
        "MODULE_OR_FILE",
    )
    model_architecture: str = _model(
        "offset10-model", "Name of a model; see `grevy models`. Default {default}."
    )
    output_dimension: int = _model(3, "D. Default {default}.", ge=1)
    num_hidden_units: int = _model(32, "Default {default}.", ge=1)
    max_iterations: int = _model(1000, "Training steps. Default {default}.", ge=1)
    batch_size: int | None = _model(512, "Default {default}; 0 takes the whole data.", ge=1)
    learning_rate: float = _model(1e-3, "Default {default}.", **_positive)
    temperature: float = _model(0.3, "Default {default}.", **_positive)
    temperature_mode: Literal["constant", "auto"] = _model("constant", "{choices}.")
    min_temperature: float | None = _model(0.1, "For auto. Default {default}.", **_positive)
    distance: Literal["cosine", "euclidean"] = _model("cosine", "{choices}.")
    precision: Literal["float32", "bf16"] = _model("float32", "{choices}.")
    causal: bool = _model(
        False, "Windows end at the present: no step of the future is needed to embed it."
    )
    validation: float = _model(
        0.0, "Fraction of the training time whose loss is only watched.", ge=0, lt=1
    )
    patience: int | None = _model(
        None, "Stop once so many looks (every 100 steps) saw no gain.", ge=1
    )
    device: str = _model("auto", "{default} (default), cpu, cuda, cuda:N or mps.", incidental=True)
    seed: int | None = _model(None, "Drawn and recorded if left out.", ge=0)
    conditional: Literal["time", "time_delta", "delta_normal", "delta"] | None = _sampling(
        None, "time, time_delta or delta_normal; by the labels if left out."
    )
    time_offsets: tuple[int, ...] | None = _sampling(
        None, "In steps, repeatable. Default: 2 for time_delta unless hybrid, else 10."
    )
    delta: float | None = _sampling(None, "Standard deviation for delta_normal.", **_positive)
    prior: Literal["empirical", "uniform"] | None = _sampling(
        None, "empirical or uniform over classes."
    )
    num_negatives: int | None = _sampling(None, "Default: the batch size.", ge=1)
    hybrid: bool = _sampling(False, "Add a loss in time to the label's.")
    holdout: float = _evaluation(0.2, "Fraction of time held out. Default {default}.", ge=0, lt=1)
    split: SplitKind = _evaluation(
        "blocks", "{default} of time (default), or whole segments: trials."
    )
    folds: int | None = _evaluation(
        None,
        "Train anew without each of so many folds, which decide p. Default: 5, or as many as there "
        "is room for; 0: off.",
        ge=0,
    )
    nulls: int | None = _evaluation(
        None,
        "How often labels are moved in time to see chance. Default: 1000, or 50 where each takes a "
        "training.",
        ge=0,
    )
    null_retrain: bool = _evaluation(False, "Train the encoder anew on each moved label.")
    seeds: int = _evaluation(1, "Train with so many seeds and compare. Default {default}.", ge=1)
    umap: bool = _evaluation(False, "UMAP as a baseline too; needs `pip install 'grevy[umap]'`.")
    output_dir: str = _output("results/run", "Default {default}.", incidental=True)

    @property
    def n_nulls(self) -> int:
        """How often labels are moved: as asked, or few where each move takes a training."""
        return self.nulls if self.nulls is not None else 50 if self.null_retrain else USUAL_NULLS

    @field_validator("time_offsets", "label", "imports", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | str) else value

    @field_validator("time_offsets")
    @classmethod
    def _offsets_are_positive(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and min(value, default=0) < 1:
            raise ValueError("expected whole numbers of at least 1")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.data is None):
            raise ValueError(
                "give either `dataset=NAME` (`grevy datasets` lists them) or `data=FILE`"
            )
        if 0 < self.n_nulls < FEWEST_NULLS:
            raise ValueError(f"`nulls` is {self.nulls}: give at least {FEWEST_NULLS}, or 0")
        if self.null_retrain and not (self.n_nulls and self.holdout):
            raise ValueError("`null_retrain` needs `nulls` and `holdout` above 0")
        if self.folds == 1 or (self.folds and not self.holdout):
            needs = "at least 2, or 0" if self.holdout else "`holdout` above 0 beside it"
            raise ValueError(f"`folds` is {self.folds}: give {needs}")
        if self.umap and not self.holdout:
            raise ValueError("`umap`, a baseline on held-out time, needs `holdout` above 0")
        if self.patience is not None and not self.validation:
            raise ValueError("`patience` needs `validation=FRACTION`, the loss it waits for")
        given = [f"`{name}`" for name in settings_of_a_file() if getattr(self, name)]
        if self.dataset is not None and given:
            what = "belong" if len(given) > 1 else "belongs"
            raise ValueError(f"{', '.join(given)} {what} to a data file, not to a data set")
        return self


def known_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some settings that are a run's; a user's script may archive its own too."""
    return {name: value for name, value in found.items() if name in RunConfig.model_fields}


def list_settings() -> tuple[Setting, ...]:
    """Describe every setting of a run, in the order of the groups that they belong to."""
    return tuple(_described(name, field) for name, field in RunConfig.model_fields.items())


def settings_of_a_file() -> tuple[str, ...]:
    """Name the settings that belong to a data file, not to a data set."""
    return _marked("of_file")


def incidental_settings() -> tuple[str, ...]:
    """Name the settings that say where, not what: they do not enter a run's identity."""
    return _marked("incidental")


def _marked(mark: str) -> tuple[str, ...]:
    fields = RunConfig.model_fields.items()
    return tuple(name for name, field in fields if _about(field)[mark])


def _about(field: FieldInfo) -> dict[str, Any]:
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra


def _described(name: str, field: FieldInfo) -> Setting:
    about = _about(field)
    kind, several = _kind(field.annotation)
    options = get_args(field.annotation)
    choices = " or ".join(f"{each}{' (default)' * (each == field.default)}" for each in options)
    help = (field.description or "").format(default=_plain(field.default), choices=choices)
    return Setting(name, about["panel"], help, about["metavar"], kind, several)


def _kind(annotation: Any) -> tuple[type, bool]:
    """Return the type of a setting's value, or of each where there may be several; and whether."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):  # it may be left out
        return _kind(next(each for each in parts if each is not type(None)))
    if origin is tuple:
        return parts[0], True
    return (str if origin is Literal else annotation), False


def _plain(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(_plain, default))
    return f"{default:g}" if isinstance(default, float) else str(default)


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Validate settings.

    Parameters
    ----------
    settings : dict
        By field name.

    Raises
    ------
    GrevyError
        Naming the first setting that is unknown, with the nearest names; else every one that is
        out of range; else the first that does not go with another.
    """
    for name in settings:
        if name not in RunConfig.model_fields:
            raise unknown("setting", str(name), RunConfig.model_fields)
    try:
        return RunConfig(**settings)
    except ValidationError as error:
        problems = Problems("settings")
        for each in error.errors():
            problems.add(_explained(each))
        problems.raise_if_any()
        raise


def _explained(error: Any) -> str:
    """Say one of pydantic's errors in our words."""
    message = _expectation(error["type"], error.get("ctx", {}))
    message = message or str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return f"{message}."
    return f"`{error['loc'][0]}` is {reprlib.repr(error['input'])}: {message}."


def _expectation(problem: str, context: Mapping[str, Any]) -> str:
    """Say what was expected where pydantic found a problem; empty if its own words must do."""
    if problem == "literal_error":
        return "expected " + str(context["expected"]).replace("'", "")
    bounds = {
        "greater_than": ("gt", "above"), "greater_than_equal": ("ge", "of at least"),
        "less_than": ("lt", "below"),
    }  # fmt: skip
    if problem in bounds:
        key, words = bounds[problem]
        return f"expected a number {words} {context[key]:g}"
    kinds = {
        "int": "a whole number", "float": "a number", "finite": "a finite number",
        "bool": "true or false", "string": "text", "tuple": "a list",
    }  # fmt: skip
    kind = kinds.get(problem.split("_", maxsplit=1)[0])
    return f"expected {kind}" if kind else ""


def read_config(path: Path, *, trust: bool = False, imports: Sequence[str] = ()) -> dict[str, Any]:
    """Read settings from a YAML file, which cannot let code run by itself.

    Parameters
    ----------
    path : Path
    trust : bool
        Take the modules that it names to be imported, and its own `trust`, as they are.
    imports : sequence of str
        Modules that may be among those.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, too large, not YAML, or not a mapping of settings; or it
        names a module to import that is not in `imports`, and is not trusted.
    """
    settings = _read_mapping(path)
    if not trust:
        settings.pop("trust", None)
        refuse_imports(f"configuration {path}", settings, imports)
    return settings


def refuse_imports(where: str, settings: Mapping[str, Any], imports: Sequence[str]) -> None:
    """Refuse settings from a file that would import modules which nobody but the file has named.

    Raises
    ------
    GrevyError
        Naming the modules, and how to allow them.
    """
    named = settings.get("imports") or ()
    each = list(named) if isinstance(named, Iterable) and not isinstance(named, str) else [named]
    unasked = [str(module) for module in each if module not in imports]
    if unasked:
        repeated = " ".join(f"`imports={module}`" for module in unasked)
        raise GrevyError(
            f"{where} asks to import {', '.join(unasked)}, which runs the code in there. If you "
            f"know what it does, name it too ({repeated}), or give `trust=True`."
        )


def _read_mapping(path: Path) -> dict[str, Any]:
    require_file(path)
    try:
        if path.stat().st_size > CONFIG_BYTES:
            raise GrevyError(
                f"configuration {path} has more than {CONFIG_BYTES} bytes; expected lines such as "
                f"'max_iterations: 5000'."
            )
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except GrevyError:
        raise
    except OSError as error:
        raise GrevyError(
            f"configuration {path} cannot be read: {error.strerror}. Give the path of a YAML file."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2026-99-99, too
        reason = " ".join(str(error).split())
        raise GrevyError(f"configuration {path} is not valid YAML: {reason}") from error
    if not isinstance(settings, dict):
        raise GrevyError(
            f"configuration {path} holds {type(settings).__name__}; expected lines such as "
            f"'max_iterations: 5000'."
        )
    return settings


def config_text(settings: Mapping[str, Any]) -> str:
    """Return settings as YAML, which reads back as the same settings."""
    text: str = yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True)
    if re.search("[\x85\u2028\u2029]", text):  # line breaks to YAML; they survive as escapes only
        text = yaml.safe_dump(dict(settings), sort_keys=False)
    return text


def run_id(settings: Mapping[str, Any], data_checksum: str) -> str:
    """Hash what decides the result: the settings that matter, and the data.

    Returns
    -------
    str
        12 hexadecimal digits. The same settings and data give the same on any machine; the place
        of the output and the device do not enter.
    """
    incidental = incidental_settings()
    deciding = {name: value for name, value in settings.items() if name not in incidental}
    text = json.dumps([deciding, data_checksum], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
