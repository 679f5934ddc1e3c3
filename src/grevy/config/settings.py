"""Every setting of a run, in one flat set."""

from functools import partial
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo

from grevy.config.sessions import checked_sessions
from grevy.config.wording import explained
from grevy.data import SplitKind, duration_of, what_is_expected
from grevy.evaluation import FEWEST_NULLS, USUAL_NULLS


def _setting(
    panel: str,
    default: Any,
    help: str,
    metavar: str | None = None,
    incidental: bool = False,
    of_file: bool = False,
    flag: tuple[type, bool] | None = None,
    **bounds: Any,
) -> Any:
    """Make a field that knows its help; ``{default}`` and ``{choices}`` in it are filled in.

    Parameters
    ----------
    incidental : bool
        It says where, not what: it does not enter the run's identity. What a data file holds
        does, wherever it lies.
    of_file : bool
        It belongs to a data file, not to a data set; each of several recordings may have its own.
    flag : (type, bool), optional
        What a flag takes, and whether it may be repeated, where that is not as the field has it.
    """
    about: dict[str, Any] = {
        "panel": panel,
        "metavar": metavar,
        "incidental": incidental,
        "of_file": of_file,
        "flag": flag,
    }
    return Field(default, description=help, json_schema_extra=about, **bounds)


_data = partial(_setting, "Data")
_key = partial(_data, None, of_file=True)
_preparing = partial(_setting, "Preparing")
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
        None,
        "File: .nwb .npy .npz .mat .h5 .csv .parquet .jl; repeatable, for several recordings.",
        "FILE",
        incidental=True,
        flag=(str, True),
    )
    sessions: tuple[dict[str, Any], ...] = _data(
        (), "YAML file of several recordings; its paths start where it lies.", "FILE",
        flag=(str, False),
    )  # fmt: skip
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
        "Trial numbers or [start, stop) runs; a table (of an NWB file: trials); or a .csv of them.",
        "KEY",
    )
    sampling_rate: float | None = _key("In Hz.", **_positive)
    gaps: Literal["nan"] | None = _key(
        "nan: leave steps with NaN out, and end segments there, instead of an error.", "nan"
    )
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
    lag: str | None = _preparing(
        None, "Labels of so much later (-: earlier) beside the neural data: 2 steps, 0.1s.", "TIME"
    )
    rates: bool = _preparing(False, "Turn counts into spikes per second.")
    min_rate: float | None = _preparing(
        None, "Leave out neurons with fewer spikes per second on training steps.", **_positive
    )
    square_root: bool = _preparing(False, "Take square roots of counts or rates.")
    smoothing: str | None = _preparing(
        None, "Smooth in time: standard deviation of a Gaussian, 2 steps or 0.05s.", "TIME"
    )
    smoothing_kernel: Literal["centred", "causal"] | None = _preparing(
        None, "centred (default), or causal (default with `causal`): no step of the future."
    )
    zscore: bool = _preparing(
        False, "Mean 0 and standard deviation 1 of each neuron on training steps."
    )
    scale_labels: bool = _preparing(
        False, "So too for each column of continuous labels, in training."
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
    base_model: str | None = _model(
        None,
        "Trained before, and kept as it is: a recording is added to it; see `grevy adapt`.",
        "RUN_OR_MODEL",
        incidental=True,
    )
    base_sha256: str | None = _model(None, "Checksum of that model; filled in if left out.", "HEX")
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
    pad_short: bool = _sampling(
        False, "Train on segments shorter than a window too, padded with their first and last step."
    )
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

    @field_validator("lag", "smoothing", mode="before")
    @classmethod
    def _is_a_time(cls, value: Any, info: ValidationInfo) -> Any:
        signed = info.field_name == "lag"
        duration = None if value is None else duration_of(value, signed)
        if value is not None and duration is None:
            raise ValueError(what_is_expected(signed))
        return duration

    @field_validator("time_offsets")
    @classmethod
    def _offsets_are_positive(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and min(value, default=0) < 1:
            raise ValueError("expected whole numbers of at least 1")
        return value

    @model_validator(mode="before")
    @classmethod
    def _several_files_are_sessions(cls, given: dict[str, Any]) -> dict[str, Any]:
        files = given.get("data")
        if isinstance(files, list | tuple) and len(files) == 1:
            given = {**given, "data": files[0]}
        elif isinstance(files, list | tuple) and not given.get("sessions"):
            given = {**given, "data": None, "sessions": [{"data": each} for each in files]}
        if given.get("sessions"):
            named = checked_sessions(given["sessions"], marked("of_file"))
            given = {**given, "sessions": tuple(map(cls._checked_alone, named))}
        return given

    @classmethod
    def _checked_alone(cls, session: dict[str, Any]) -> dict[str, Any]:
        """Return what one of several recordings says itself, checked as that of a lone one is."""
        own = {name: value for name, value in session.items() if name != "name"}
        try:
            checked = cls(**own)
        except ValidationError as error:
            raise ValueError(f"{session['name']}: {explained(error.errors()[0])}") from error
        return {"name": session["name"], **{name: getattr(checked, name) for name in own}}

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given_sources = [each for each in (self.dataset, self.data, self.sessions) if each]
        if len(given_sources) != 1:
            raise ValueError(
                "give one of `dataset=NAME` (`grevy datasets` lists them), `data=FILE` and "
                "`sessions=FILE`"
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
        if self.smoothing_kernel is not None and self.smoothing is None:
            raise ValueError("`smoothing_kernel` needs `smoothing=TIME`")
        if self.smoothing_kernel == "centred" and self.causal:
            raise ValueError(
                "`smoothing_kernel=centred` looks into the future, and `causal=True` shall not. "
                "Leave one out"
            )
        if self.patience is not None and not self.validation:
            raise ValueError("`patience` needs `validation=FRACTION`, the loss it waits for")
        if self.base_model is not None:
            self._refuse_beside_base()
        given = [f"`{name}`" for name in marked("of_file") if getattr(self, name)]
        if self.dataset is not None and given:
            what = "belong" if len(given) > 1 else "belongs"
            raise ValueError(f"{', '.join(given)} {what} to a data file, not to a data set")
        return self

    def _refuse_beside_base(self) -> None:
        """Refuse what would train anew the encoders that are kept as they are."""
        beside = {
            "folds": self.folds, "null_retrain": self.null_retrain, "seeds": self.seeds > 1,
            "validation": self.validation, "dataset": self.dataset,
        }  # fmt: skip
        given = [f"`{name}`" for name, value in beside.items() if value]
        if given:
            raise ValueError(f"{', '.join(given)}: not with `base_model`, which is kept as it is")

    @model_validator(mode="after")
    def _no_recording_twice(self) -> Self:
        each = self.of_each
        for number, one in enumerate(each):
            if one in each[:number]:
                first, again = (self.sessions[n]["name"] for n in (each.index(one), number))
                raise ValueError(f"{first} and {again} are one recording, given twice")
        return self

    @property
    def of_each(self) -> tuple["RunConfig", ...]:
        """The settings as they are for each recording: what it says itself, and what is for all.

        Itself alone where there are no `sessions`.
        """
        own = [{name: each[name] for name in each if name != "name"} for each in self.sessions]
        return tuple(self.model_copy(update={**one, "sessions": ()}) for one in own) or (self,)


def marked(mark: str) -> tuple[str, ...]:
    """Name the settings with a mark: ``"incidental"`` or ``"of_file"``."""
    fields = RunConfig.model_fields.items()
    return tuple(name for name, field in fields if notes_of(field)[mark])


def notes_of(field: FieldInfo) -> dict[str, Any]:
    """Return what is noted of a setting beside its type: panel, metavar and marks."""
    assert isinstance(field.json_schema_extra, dict)
    return field.json_schema_extra
