"""`grevy.CEBRA`: `cebra`'s estimator over Grevy's sampling and training.

A thin facade. It turns what users pass into recordings, asks the engine to train, and leaves
behind the fitted attributes that `cebra`'s plots, metrics and checkpoints expect.
"""

import io
import secrets
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import cebra
import cebra.integrations.sklearn.utils as cebra_checks
import cebra.models
import numpy as np
import numpy.typing as npt
import torch
from cebra.integrations.sklearn.cebra import _load_cebra_with_sklearn_backend
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from grevy import __version__ as grevy_version
from grevy.checkpoint import Checkpoints, read_checkpoint, write_checkpoint
from grevy.encoding import EMBED_CHUNK, embed, receptive_field
from grevy.errors import GrevyError, unknown
from grevy.fitting import (
    ModelState,
    adapted_state,
    check_parameters,
    fresh_state,
    label_types,
    make_training,
    resolve_device,
    use_fused,
    without_fused,
)
from grevy.progress import training_progress
from grevy.recording import Recording, data_checksum, make_recording
from grevy.sampling import PriorKind, fitting_positions
from grevy.sessions import gather_recordings
from grevy.training import DivergedError, chance_loss, interruptible, run

# Parameters of ours that `cebra.CEBRA` does not know; they stay out of its part of a checkpoint.
_OWN_PARAMETERS = ("seed", "prior", "num_negatives")
_OWN_ATTRIBUTES = ("seed_", "n_steps_", "chance_", "data_checksum_")

Callback = Callable[[int, Any], None]


@dataclass(frozen=True)
class _Hook:
    """A user's callback and how often it is called."""

    callback: Callback | None
    frequency: int | None

    def __post_init__(self) -> None:
        if (self.callback is None) != (self.frequency is None):
            given, missing = "callback", "callback_frequency"
            if self.callback is None:
                given, missing = missing, given
            raise GrevyError(f"{given} was given without {missing}. Give both or neither.")
        whole = isinstance(self.frequency, (int, np.integer))
        if self.frequency is not None and not (whole and self.frequency >= 1):
            raise GrevyError(
                f"callback_frequency is {self.frequency!r}; expected a whole number of at least 1."
            )

    def is_due(self, step: int) -> bool:
        return self.frequency is not None and step % self.frequency == 0

    def call(self, step: int, solver: Any) -> None:
        if self.callback is not None:
            self.callback(step, solver)


class _Saver:
    """Writes the checkpoints of one training."""

    def __init__(self, checkpoints: Checkpoints, data_checksum: str, resume: bool) -> None:
        self.checkpoints = checkpoints
        self.data_checksum = data_checksum
        self._written = time.monotonic()
        self._goes_on = resume

    def is_due(self, done: int) -> bool:
        steps, minutes = self.checkpoints.steps, self.checkpoints.minutes
        by_steps = steps is not None and done % steps == 0
        return by_steps or (
            minutes is not None and time.monotonic() - self._written >= 60 * minutes
        )

    def save(self, model: "CEBRA") -> None:
        if not self._goes_on:  # what is left of a training that is now started over
            self.checkpoints.prune(keep=0)
            self._goes_on = True
        model.save(self.checkpoints.path(model.n_steps_))
        self.checkpoints.prune()
        self._written = time.monotonic()

    def save_last(self, model: "CEBRA") -> None:
        """Save as the training ends, for whatever reason: a failure must not hide the reason."""
        try:
            self.save(model)
        except GrevyError as error:
            warnings.warn(f"no checkpoint could be kept: {error}", stacklevel=2)


class CEBRA(cebra.CEBRA):  # type: ignore[misc]
    """Learn an embedding of neural data by contrastive learning; a drop-in for `cebra.CEBRA`.

    All of `cebra.CEBRA`'s parameters, methods and fitted attributes are here with the same
    meaning, and files written by `save` open in either. What differs, on purpose:

    - the same `seed` gives the same embedding, to the last bit on a CPU;
    - the nearest label is exact whatever the label's offset, ties are broken at random, and
      circular labels (`grevy.circular`) are searched around the circle;
    - windows and pairs in time stay inside their segment;
    - booleans and strings are discrete labels; several discrete labels combine;
    - nothing given is silently ignored: it is honoured or refused;
    - an interrupted `fit` leaves a usable model; `partial_fit` goes on with the weights it has,
      on the data it is given, also after `load`;
    - `load` runs no code from the file unless ``weights_only=False`` is passed.

    Parameters
    ----------
    model_architecture : str
        A name of `cebra.models.get_options`, or one registered by the user.
    device : str
        ``"cpu"``, ``"cuda"``, ``"cuda:N"``, ``"mps"`` or ``"cuda_if_available"``.
    criterion : {"infonce"}
    distance : {"cosine", "euclidean"}
    conditional : {"time", "time_delta", "delta_normal"}, optional
        How positives follow from references; see `grevy.sampling.SamplingPlan`. By default
        ``"time"`` without labels, ``"time_delta"`` with continuous or circular ones, and the same
        class with discrete ones alone (where ``"time_delta"`` means that too: a class has no
        nearness).
    temperature : float
        Positive. In ``temperature_mode="auto"`` it is where learning starts.
    temperature_mode : {"constant", "auto"}
    min_temperature : float, optional
        Lower bound in ``"auto"``; None for no bound.
    time_offsets : int or sequence of int
        In steps, at least 1. Of several one is drawn for each pair.
    delta : float, optional
        Standard deviation for ``conditional="delta_normal"``, in the label's unit (radians for
        circular labels).
    max_iterations, max_adapt_iterations : int
        Steps of `fit` and `partial_fit`, and of ``fit(adapt=True)``.
    batch_size : int, optional
        References of each recording in a step; None takes the whole data in every step.
    learning_rate : float
        Of Adam.
    optimizer : {"adam"}
    output_dimension : int
        D.
    verbose : bool
        Show a progress bar.
    num_hidden_units : int
    pad_before_transform : bool
        Whether `transform` pads the edges, so that it returns T rows.
    hybrid : bool
        Add a loss in time to that of the label; the label shapes the first three dimensions.
    optimizer_kwargs : tuple of pairs
        For `torch.optim.Adam`.
    masking_kwargs : tuple of pairs, optional
        See `grevy.masking.make_masks`.
    seed : int, optional
        At least 0. A fresh one is drawn, and kept in ``seed_``, if not given.
    prior : {"empirical", "uniform"}, optional
        Whether references and negatives are as frequent as they come or every class equally so.
        By default, as in `cebra`: uniform with both discrete and other labels, else empirical.
    num_negatives : int, optional
        Negatives of each recording in a step; `batch_size` if not given.

    Attributes
    ----------
    seed_ : int
        The seed used.
    n_steps_ : int
        Steps trained so far.
    chance_ : float
        Loss, in nats, of an embedding that tells nothing.
    data_checksum_ : str or None
        Of the data, where checkpoints were written.
    """

    def __init__(
        self,
        model_architecture: str = "offset1-model",
        device: str = "cuda_if_available",
        criterion: str = "infonce",
        distance: str = "cosine",
        conditional: str | None = None,
        temperature: float = 1.0,
        temperature_mode: Literal["constant", "auto"] = "constant",
        min_temperature: float | None = 0.1,
        time_offsets: int | Sequence[int] = 1,
        delta: float | None = None,
        max_iterations: int = 10000,
        max_adapt_iterations: int = 500,
        batch_size: int | None = None,
        learning_rate: float = 3e-4,
        optimizer: str = "adam",
        output_dimension: int = 8,
        verbose: bool = False,
        num_hidden_units: int = 32,
        pad_before_transform: bool = True,
        hybrid: bool = False,
        optimizer_kwargs: tuple[tuple[str, object], ...] = (
            ("betas", (0.9, 0.999)),
            ("eps", 1e-08),
            ("weight_decay", 0),
            ("amsgrad", False),
        ),
        masking_kwargs: tuple[tuple[str, object], ...] | None = None,
        seed: int | None = None,
        prior: PriorKind | None = None,
        num_negatives: int | None = None,
    ) -> None:
        given = locals()
        for name in self._get_param_names():
            setattr(self, name, given[name])

    def fit(
        self,
        X: Any,
        *y: Any,
        adapt: bool = False,
        callback: Callback | None = None,
        callback_frequency: int | None = None,
        segments: Any = None,
        checkpoints: Checkpoints | None = None,
        resume: bool = False,
    ) -> Self:
        """Train a new model, or adapt the one at hand to other neurons.

        Parameters
        ----------
        X : array_like of shape (T, N), Recording, or list of them
            A list is several recordings, each with neurons (and an encoder) of its own.
        *y : array_like or Label
            Any number of labels of length T; floats are continuous, integers, booleans and strings
            discrete, `grevy.circular` makes angles. For several recordings, lists of labels.
        adapt : bool
            If the estimator is fitted: make a new first layer for X and train it alone, for
            `max_adapt_iterations` steps.
        callback : callable, optional
            Called as ``callback(step, solver)`` after step 0 and every `callback_frequency` steps
            from there, as in `cebra`.
        callback_frequency : int, optional
        segments : array_like, optional
            Runs (S, 2) or identifiers (T,) that no window and no pair leaves; a list of them for
            several recordings.
        checkpoints : Checkpoints, optional
            Where and how often to keep the training, and once more as it ends or is cut off.
        resume : bool
            Go on from the newest checkpoint there, if there is one, to the same bits as a
            training that was never cut off. Parameters (but device and `max_iterations`) and
            data must be the same.

        Returns
        -------
        CEBRA
            Itself.

        Raises
        ------
        GrevyError
            If parameters or data are unusable; the message says how to mend it. The estimator is
            then as it was before.
        KeyboardInterrupt, SystemExit
            After Ctrl-C or SIGTERM; the estimator is usable as far as training got.
        """
        check_parameters(self)
        hook = _Hook(callback, callback_frequency)
        recordings, several = gather_recordings(X, y, segments)
        if adapt and cebra_checks.check_fitted(self):
            state = adapted_state(self, recordings, several)
            return self._train(state, recordings, y, 0, self.max_adapt_iterations, hook)
        saver = None
        if checkpoints is not None:
            saver = _Saver(checkpoints, data_checksum(recordings), resume)
        loaded = self._resumed(saver, several) if resume and saver is not None else None
        if loaded is not None:
            state, first = loaded
            left = max(self.max_iterations - first, 0)
            return self._train(state, recordings, y, first, left, hook, saver)
        seed = secrets.randbits(32) if self.seed is None else int(self.seed)
        state = fresh_state(self, recordings, several, seed)
        return self._train(state, recordings, y, 0, self.max_iterations, hook, saver)

    def partial_fit(
        self,
        X: Any,
        *y: Any,
        callback: Callback | None = None,
        callback_frequency: int | None = None,
        segments: Any = None,
    ) -> Self:
        """Train `max_iterations` steps more, with the weights and optimiser at hand, on this data.

        Parameters and errors as in `fit`. On an estimator that is not fitted it is `fit`. The data
        may be other than before, with the same number of neurons.
        """
        if not cebra_checks.check_fitted(self):
            return self.fit(
                X, *y, callback=callback, callback_frequency=callback_frequency, segments=segments
            )
        check_parameters(self)
        hook = _Hook(callback, callback_frequency)
        recordings, several = gather_recordings(X, y, segments)
        given = [recording.n_neurons for recording in recordings]
        if self.n_features_in_ != (given if several else given[0]):
            raise GrevyError(
                f"partial_fit: the model was trained on {self.n_features_in_} neurons, this data "
                f"has {given}. Give the same neurons, or use fit(adapt=True)."
            )
        for group in self.solver_.optimizer.param_groups:
            group["lr"] = self.learning_rate
        state = ModelState(self.model_, self.solver_, several, self.device_, self.seed_)
        return self._train(state, recordings, y, self.n_steps_, self.max_iterations, hook)

    def transform(
        self,
        X: Any,
        batch_size: int | None = None,
        session_id: int | None = None,
        segments: Any = None,
    ) -> npt.NDArray[np.float32]:
        """Embed a recording.

        Parameters
        ----------
        X : array_like of shape (T, N)
        batch_size : int, optional
            Steps embedded at once; it bounds memory and does not change the result.
        session_id : int, optional
            Which encoder, after a fit to several recordings.
        segments : array_like, optional
            As in `fit`; the windows then stay inside them, padded at their edges.

        Returns
        -------
        ndarray of shape (T, D), float32
            Without padding (``pad_before_transform=False``) W - 1 rows fewer for each segment.
        """
        check_is_fitted(self, "n_features_")
        if batch_size is not None and batch_size < 1:
            raise GrevyError(f"transform: batch_size is {batch_size}; expected at least 1.")
        try:
            self.solver_._check_is_session_id_valid(session_id=session_id)
        except RuntimeError as error:
            raise GrevyError(f"transform: {error}") from error
        if isinstance(X, Recording):
            X, segments = X.neural, X.segments if segments is None else segments
        recording = make_recording(X, segments=segments)
        model = self.solver_._get_model(session_id)
        if recording.n_neurons != model.num_input:
            raise GrevyError(
                f"transform: {recording.n_neurons} neurons were given, the model was trained on "
                f"{model.num_input}. Give the same neurons, or fit(adapt=True) to the new ones."
            )
        resampled = isinstance(model, cebra.models.ResampleModelMixin)
        if resampled and isinstance(model, cebra.models.ConvolutionalModelMixin):
            plain: npt.NDArray[np.float32] = super().transform(
                recording.neural, batch_size, session_id
            )
            return plain
        chunk = EMBED_CHUNK if batch_size is None else int(batch_size)
        embedding = embed(model, recording.neural, recording.segments, self.device_, chunk)
        if self.pad_before_transform:
            return embedding
        left, right = receptive_field(model)
        return embedding[fitting_positions(recording.segments, left, right)]

    def save(self, filename: str | Path, backend: Literal["torch", "sklearn"] = "sklearn") -> None:
        """Write the model to a file that `grevy.CEBRA.load` and `cebra.CEBRA.load` open.

        The file appears whole or not at all.

        Parameters
        ----------
        filename : str or Path
        backend : {"sklearn"}
            ``"torch"`` pickled the whole estimator, which only runs its code again; refused.

        Raises
        ------
        GrevyError
            If the estimator is not fitted, or the place cannot be written to.
        """
        if not cebra_checks.check_fitted(self):
            raise GrevyError("save: this CEBRA is not fitted. Call fit first.")
        if backend != "sklearn":
            raise GrevyError(f"save: backend {backend!r} is not supported. Leave it out.")
        write_checkpoint(self._get_state_dict(), Path(filename))

    def _get_state_dict(self) -> dict[str, Any]:
        contents: dict[str, Any] = super()._get_state_dict()
        own = {name: contents["args"].pop(name) for name in _OWN_PARAMETERS}
        solver = contents["state_dict"]
        contents["state_dict"] = {**solver, "optimizer": without_fused(solver["optimizer"])}
        fitted = {name: getattr(self, name) for name in _OWN_ATTRIBUTES}
        return {**contents, "grevy": {"args": own, "state": fitted, "version": grevy_version}}

    def __getstate__(self) -> dict[str, Any]:
        """Give model and solver as a checkpoint: not every class of `cebra` can be pickled."""
        state: dict[str, Any] = dict(super().__getstate__())
        if cebra_checks.check_fitted(self):
            buffer = io.BytesIO()
            torch.save(self._get_state_dict(), buffer)
            del state["model_"], state["solver_"]
            state["_checkpoint"] = buffer.getvalue()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        checkpoint = own.pop("_checkpoint", None)
        super().__setstate__(own)
        if checkpoint is not None:
            contents = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=False)
            loaded = self._from_contents(contents, None)
            restored = ("model_", "solver_", "device_")
            self.__dict__.update({name: getattr(loaded, name) for name in restored})

    @classmethod
    def load(
        cls,
        filename: str | Path,
        backend: str = "auto",
        weights_only: bool | None = None,
        map_location: str | None = None,
    ) -> Self:
        """Read a model that `save` or plain `cebra` wrote.

        Parameters
        ----------
        filename : str or Path
        backend : {"auto", "sklearn"}
            Kept for `cebra`'s sake; there is one format.
        weights_only : bool, optional
            False allows code pickled in the file to run: only for files from people you trust.
        map_location : str, optional
            Device to load to; by default the one it was trained on if it is here, else the CPU.

        Raises
        ------
        GrevyError
            If the file is missing, broken, no such model, or holds pickled code.
        """
        if backend not in ("auto", "sklearn", "torch"):
            raise unknown("backend", backend, ["auto", "sklearn"])
        path = Path(filename)
        contents = read_checkpoint(path, map_location or "cpu", trust=weights_only is False)
        if isinstance(contents, cebra.CEBRA):  # written by cebra's old "torch" backend
            contents = contents._get_state_dict()
        try:
            return cls._from_contents(contents, map_location)
        except GrevyError:
            raise
        except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise GrevyError(
                f"{path} is no CEBRA model: {type(error).__name__}: {error}. Expected a file "
                f"written by CEBRA.save."
            ) from error

    @classmethod
    def _from_contents(cls, contents: dict[str, Any], device: str | None) -> Self:
        architecture = contents["args"]["model_architecture"]
        if architecture not in cebra.models.get_options():
            raise unknown("model", architecture, cebra.models.get_options())
        trained_on = contents["state"]["device_"]
        try:
            target = resolve_device(device or trained_on)
        except GrevyError:
            target = "cpu"
        moved = {**contents, "state": {**contents["state"], "device_": target}}
        with warnings.catch_warnings():
            # `cebra` warns about its own hybrid solver, and that no action is required.
            warnings.simplefilter("ignore", DeprecationWarning)
            plain = _load_cebra_with_sklearn_backend(moved)
        own = contents.get("grevy", {"args": {}, "state": {}})
        loaded = cls(**contents["args"], **own["args"])
        fitted = {name: value for name, value in vars(plain).items() if name.endswith("_")}
        batch_size = loaded.batch_size or 1  # of whole-data training `cebra` keeps no number
        defaults = {
            "seed_": secrets.randbits(32),
            "n_steps_": len(plain.solver_.history),
            "chance_": chance_loss(batch_size * (plain.num_sessions_ or 1), loaded.hybrid),
            "data_checksum_": None,
        }
        loaded.__dict__.update({**fitted, **defaults, **own["state"]})
        loaded.solver_.n_features = loaded.n_features_
        use_fused(loaded.solver_.optimizer)
        return loaded

    def _resumed(self, saver: "_Saver", several: bool) -> tuple[ModelState, int] | None:
        """Read the newest whole checkpoint, and check that it is of this training."""
        for path in saver.checkpoints.newest():
            try:
                loaded = type(self).load(path, map_location=resolve_device(self.device))
            except GrevyError:
                continue  # cut off while it was written elsewhere, or damaged: take the one before
            mine, theirs = self.get_params(), loaded.get_params()
            free = {"device", "verbose", "max_iterations", "max_adapt_iterations"}
            if self.seed is None:
                free.add("seed")
            other = [name for name in mine if name not in free and mine[name] != theirs[name]]
            if other or loaded.data_checksum_ != saver.data_checksum:
                what = ", ".join(other) or "the data"
                raise GrevyError(
                    f"the checkpoint {path} is of another training: it differs in {what}. Resume "
                    f"with the same settings and data, or start without resume."
                )
            state = ModelState(loaded.model_, loaded.solver_, several, loaded.device_, loaded.seed_)
            return state, loaded.n_steps_
        return None

    def _train(
        self,
        state: ModelState,
        recordings: tuple[Recording, ...],
        y: Sequence[Any],
        first: int,
        n_steps: int,
        hook: _Hook,
        saver: "_Saver | None" = None,
    ) -> Self:
        """Train, and keep the result however training ends."""
        training = make_training(self, state, recordings)
        pending: list[Tensor] = []
        done, last = first, first + n_steps

        def keep() -> None:
            _keep_history(state.solver, pending)
            _cut_history(state.solver, done)
            self._keep(state, recordings, y, done)
            self.chance_ = training.chance
            self.data_checksum_ = saver.data_checksum if saver else None

        state.model.train()
        try:
            with (
                interruptible() as interruption,
                torch.random.fork_rng(),
                training_progress(n_steps, training.chance, bool(self.verbose)) as progress,
            ):
                for step, record in run(training, first, last):
                    pending.append(record)
                    done = step + 1
                    progress(done - first, partial(_loss_of, record))
                    if hook.is_due(step - first):
                        _keep_history(state.solver, pending)
                        hook.call(step - first, state.solver)
                    if saver is not None and saver.is_due(done):
                        keep()
                        saver.save(self)
                    interruption.raise_if_requested()
        except DivergedError as error:
            done = error.step
            raise
        finally:
            keep()
            if saver is not None:
                saver.save_last(self)
            for parameter in state.model.parameters():
                parameter.requires_grad_(True)  # `adapt` had frozen some
        return self

    def _keep(
        self, state: ModelState, recordings: Sequence[Recording], y: Sequence[Any], done: int
    ) -> None:
        """Set the fitted attributes, as `cebra` does after training."""
        neurons = [recording.n_neurons for recording in recordings]
        solver = state.solver
        solver.n_features = neurons if state.several else neurons[0]
        if state.several:
            solver.num_sessions = len(recordings)
        self.model_ = state.model
        self.solver_ = solver
        self.solver_name_ = solver._variant_name
        self.device_ = state.device
        self.offset_ = (state.model[0] if state.several else state.model).get_offset()
        self.n_features_ = solver.n_features
        self.n_features_in_ = solver.n_features
        self.num_sessions_ = len(recordings) if state.several else None
        self.label_types_ = label_types(recordings, y, state.several)
        self.seed_ = state.seed
        self.n_steps_ = done


def _loss_of(record: Tensor) -> float:
    return float(record[0])


def _cut_history(solver: Any, steps: int) -> None:
    """Forget what was recorded after `steps` steps, if the model was put back."""
    del solver.history[steps:]
    for values in solver.log.values():
        del values[steps:]


def _keep_history(solver: Any, pending: list[Tensor]) -> None:
    """Move records into the solver's history, where `cebra`'s plots look; empties `pending`."""
    if not pending:
        return
    rows = torch.stack(pending).cpu().tolist()
    pending.clear()
    solver.history.extend(row[0] for row in rows)
    for column, name in enumerate(("total", "pos", "neg", "temperature")):
        solver.log[name].extend(row[column] for row in rows)
