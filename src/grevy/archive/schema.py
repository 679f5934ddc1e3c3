"""What the JSON files of a run folder hold, checked where they are read.

A run folder may come from anybody. What a page or a comparison takes from these files must be there
and be of the kind that it takes for granted; what else they hold passes.
"""

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from grevy.config import RunConfig
from grevy.evaluation import MEASURES


class _Open(BaseModel):
    """Of the right kinds, with room for more."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Data(_Open):
    source: str
    time_steps: int = Field(ge=1)
    neurons: int = Field(ge=1)
    sha256: str
    name: str = ""


class Manifest(_Open):
    """``manifest.json``."""

    run_id: str
    finished: str
    seconds: float | None
    files: dict[str, Any]  # `verify` says which of them are not as they were
    data: list[_Data]  # empty for a run of arrays that nobody named
    versions: dict[str, str] = {}
    platform: dict[str, str] = {}


_Ends = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Scores(_Open):
    train_r2: float = 0.0
    test_r2: float = 0.0
    variance_weighted_r2: float = 0.0
    per_dimension_test_r2: list[float] = []
    mean_absolute_error: float = 0.0
    median_absolute_error: float = 0.0
    train_mean_error: float = 0.0
    mean_error: float = 0.0
    median_error: float = 0.0
    correlation: float = 0.0
    train_accuracy: float = 0.0
    accuracy: float = 0.0
    balanced_accuracy: float = 0.0
    f1: float = 0.0
    chance: float = 0.0
    balanced_chance: float = 0.0
    decoder: str = ""
    intervals: dict[str, _Ends] = {}


class _Window(_Scores):
    """Of a baseline that sees several steps, put together in one way."""

    columns: int = Field(ge=1)


class _Gain(_Open):
    score: str
    value: float
    interval: _Ends | None = None


class _Source(_Scores):
    """Of a baseline; the embedding and the constant answer have the scores alone."""

    columns: int = Field(1, ge=1)
    window: Literal["summed", "lagged", "one step"] = "one step"
    by_window: dict[Literal["summed", "lagged"], _Window] = {}
    gain: _Gain | None = None


class _Null(_Open):
    statistic: str
    observed: float
    values: list[float]
    p: float = Field(ge=0, le=1)
    p_adjusted: float = Field(1.0, ge=0, le=1)
    n: int
    how: str
    method: Literal["folds", "held-out", "retrained"]
    folds: int = Field(2, ge=2)


class _Label(_Open):
    kind: Literal["continuous", "circular", "discrete"]
    random: _Scores
    blocked: dict[str, _Source] = {}
    null: _Null | None = None
    no_p: str = ""

    @model_validator(mode="after")
    def _gains_are_in_the_score_that_decides(self) -> Self:
        gains = [source.gain for source in self.blocked.values() if source.gain is not None]
        if any(gain.score != MEASURES[self.kind][0].key for gain in gains):
            raise ValueError("a gain in a score that does not decide")
        return self


class _Folds(_Open):
    score: str
    values: list[float] = Field(min_length=1)
    mean: float
    pooled: _Scores

    @field_validator("score")
    @classmethod
    def _is_one_that_decides(cls, value: str) -> str:
        if value not in {measures[0].key for measures in MEASURES.values()}:
            raise ValueError("no score that decides")
        return value


class _Consistency(_Open):
    names: list[str]
    r2: list[list[float]]
    mean: float
    chance: float | None = None

    @field_validator("r2")
    @classmethod
    def _is_square(cls, value: list[list[float]]) -> list[list[float]]:
        if any(len(row) != len(value) for row in value):
            raise ValueError("rows of different lengths")
        return value


class _AcrossLabel(_Open):
    kind: Literal["continuous", "circular", "discrete"]
    all: _Scores
    own: _Scores
    others: _Scores
    chance: _Scores
    null: _Null | None = None
    no_p: str = ""


class _Recording(_Open):
    name: str
    time_steps: int = Field(ge=1)
    train_steps: int = Field(ge=0)
    test_steps: int = Field(ge=0)
    scores: dict[str, _AcrossLabel] = {}


class _Agreement(_Open):
    """Of embeddings by a label; or why there is none."""

    names: list[str] = []
    r2: list[list[float]] = []
    mean: float = 0.0
    chance: float = 0.0
    reason: str = ""

    @model_validator(mode="after")
    def _is_square(self) -> Self:
        count = len(self.names)
        if len(self.r2) != count or any(len(row) != count for row in self.r2):
            raise ValueError("an agreement that is not of each with each")
        return self


class _HeldOut(_Open):
    split: Literal["blocks", "segments"] = "blocks"
    train_steps: int = Field(ge=0)
    test_steps: int = Field(ge=0)
    test_segments: int = Field(0, ge=0)


class _Decoded(_Scores):
    """Of a label on validation blocks."""

    kind: Literal["continuous", "circular", "discrete"]


class _Validation(_Open):
    steps: list[int] = []  # empty of a training that is shorter than the time to a look
    loss: list[float] = []
    scores: dict[str, _Decoded] = {}


class Metrics(_Open):
    """``logs/metrics.json``."""

    goodness_of_fit_bits: float = 0.0
    goodness_of_fit_error: float = 0.0
    goodness_of_fit_heldout_bits: float = 0.0
    goodness_of_fit_heldout_error: float = 0.0
    chance_nats: float = 0.0
    latent_r2: float = 0.0
    train_r2: float = 0.0
    test_r2: float = 0.0
    prediction_r2: float = 0.0
    note: str = ""
    neurons_left_out: list[list[int]] = []  # for each recording, neurons by their numbers
    window_steps: int = Field(1, ge=1)
    scores: dict[str, _Label] = {}
    leaky: dict[str, bool] = {}
    folds: dict[str, _Folds] = {}
    consistency: _Consistency | None = None
    recordings: list[_Recording] = []
    left_out: dict[str, _Scores] = {}
    agreement: dict[str, _Agreement] = {}
    holdout: _HeldOut | None = None
    validation: _Validation | None = None


def checked(schema: type[BaseModel], found: Any) -> dict[str, Any]:
    """Return what a file holds as it is, once it is of the right kinds.

    Raises
    ------
    ValueError
        Naming the first thing that is not.
    """
    try:
        schema.model_validate(found)
    except ValidationError as error:
        raise ValueError(_first(error)) from error
    return dict(found)


def checked_settings(found: dict[str, Any]) -> dict[str, Any]:
    """Return settings as they are, once those that are known are of the right kinds.

    A script of the user's may have settings of its own; plain values, or lists of these, will do.

    Raises
    ------
    ValueError
        Naming the first setting that is not.
    """
    for name, value in found.items():
        if not isinstance(name, str):
            raise ValueError(f"a setting of the name {name!r}")
        if name == "sessions":
            _check_sessions(value)
            continue
        each = value if isinstance(value, list) else [value]
        if any(isinstance(part, list | dict | set | tuple) for part in each):
            raise ValueError(f"{name}: not a plain value")
        if name not in RunConfig.model_fields:
            continue
        several = name in ("time_offsets", "label", "imports")  # where one may stand for a list
        try:
            _checker(name).validate_python(each if several and value is not None else value)
        except ValidationError as error:
            raise ValueError(f"{name}: {_first(error)}") from error
    return found


@cache
def _checker(name: str) -> TypeAdapter[Any]:
    """Make what checks a setting; once, for a comparison reads thousands of files."""
    field = RunConfig.model_fields[name]
    whole: Any = Annotated[field.annotation, field]
    return TypeAdapter(whole)


def _check_sessions(found: Any) -> None:
    """Check what each of several recordings says of itself, as settings are."""
    if not isinstance(found, list):
        raise ValueError("sessions: no list")
    for each in found:
        if not isinstance(each, dict) or not isinstance(each.get("data"), str):
            raise ValueError("sessions: a recording without its file")
        if not isinstance(each.get("name", ""), str) or "sessions" in each:
            raise ValueError("sessions: a recording without its name")
        checked_settings({name: value for name, value in each.items() if name != "name"})


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
