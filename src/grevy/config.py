"""What decides a run: one flat set of settings, the same in flags, YAML and the archive."""

import hashlib
import json
import re
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from grevy.data import SplitKind
from grevy.errors import GrevyError, Problems, unknown
from grevy.evaluation import FEWEST_NULLS

# Settings that say where, not what: they do not enter the run's identity. What a data file holds
# does, wherever it lies.
_INCIDENTAL = frozenset({"output_dir", "device", "offline", "trust", "data"})

# Settings that belong to a data file, not to a data set.
FILE_ONLY = ("neural", "label", "period", "segments", "sampling_rate")


class RunConfig(BaseModel):
    """Settings of a run; each is a flag of ``grevy run`` with dashes for underscores."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    dataset: str | None = None
    data: str | None = None
    neural: str | None = None
    label: tuple[str, ...] = ()
    period: float | None = Field(None, gt=0, allow_inf_nan=False)
    segments: str | None = None
    sampling_rate: float | None = Field(None, gt=0, allow_inf_nan=False)
    trust: bool = False
    offline: bool = False
    imports: tuple[str, ...] = ()
    model_architecture: str = "offset10-model"
    output_dimension: int = Field(3, ge=1)
    num_hidden_units: int = Field(32, ge=1)
    max_iterations: int = Field(5000, ge=1)
    batch_size: int | None = Field(512, ge=1)
    num_negatives: int | None = Field(None, ge=1)
    learning_rate: float = Field(3e-4, gt=0, allow_inf_nan=False)
    temperature: float = Field(1.0, gt=0, allow_inf_nan=False)
    temperature_mode: Literal["constant", "auto"] = "constant"
    min_temperature: float | None = Field(0.1, gt=0, allow_inf_nan=False)
    time_offsets: tuple[int, ...] = (10,)
    distance: Literal["cosine", "euclidean"] = "cosine"
    conditional: Literal["time", "time_delta", "delta_normal", "delta"] | None = None
    delta: float | None = Field(None, gt=0, allow_inf_nan=False)
    prior: Literal["empirical", "uniform"] | None = None
    hybrid: bool = False
    seed: int | None = Field(None, ge=0)
    holdout: float = Field(0.2, ge=0, lt=1)
    split: SplitKind = "blocks"
    folds: int = Field(0, ge=0)
    validation: float = Field(0.0, ge=0, lt=1)
    patience: int | None = Field(None, ge=1)
    nulls: int = Field(50, ge=0)
    null_retrain: bool = False
    seeds: int = Field(1, ge=1)
    umap: bool = False
    precision: Literal["float32", "bf16"] = "float32"
    device: str = "auto"
    output_dir: str = "results/run"

    @field_validator("time_offsets", "label", "imports", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | str) else value

    @field_validator("time_offsets")
    @classmethod
    def _offsets_are_positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("expected whole numbers of at least 1")
        return value

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.dataset is None) == (self.data is None):
            raise ValueError(
                "give either --dataset NAME (`grevy datasets` lists them) or --data FILE"
            )
        given = ["--" + name.replace("_", "-") for name in FILE_ONLY if getattr(self, name)]
        if 0 < self.nulls < FEWEST_NULLS:
            raise ValueError(f"--nulls is {self.nulls}: give at least {FEWEST_NULLS}, or 0")
        if self.null_retrain and not (self.nulls and self.holdout):
            raise ValueError("--null-retrain needs --nulls and --holdout above 0")
        if self.folds == 1 or (self.folds and not self.holdout):
            needs = "at least 2, or 0" if self.holdout else "--holdout above 0 beside it"
            raise ValueError(f"--folds is {self.folds}: give {needs}")
        if self.umap and not self.holdout:
            raise ValueError("--umap, a baseline on held-out time, needs --holdout above 0")
        if self.patience is not None and not self.validation:
            raise ValueError("--patience needs --validation FRACTION, the loss it waits for")
        if self.dataset is not None and given:
            raise ValueError(f"{', '.join(given)} belong to --data FILE, not to --dataset")
        return self


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Validate settings.

    Parameters
    ----------
    settings : dict
        By field name.

    Raises
    ------
    GrevyError
        Naming every setting that is unknown (with the nearest names), or out of range.
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
    """Say one of pydantic's errors in the words of the command line."""
    message = _expectation(error["type"], error.get("ctx", {}))
    message = message or str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return f"{message}."
    name = str(error["loc"][0]).replace("_", "-").replace("imports", "import")
    return f"--{name} is {reprlib.repr(error['input'])}: {message}."


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


def read_config(path: Path) -> dict[str, Any]:
    """Read settings from a YAML file.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, not YAML, or not a mapping of settings.
    """
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
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
    deciding = {name: value for name, value in settings.items() if name not in _INCIDENTAL}
    text = json.dumps([deciding, data_checksum], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
