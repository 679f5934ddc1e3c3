"""`grevy.CEBRA`: `cebra`'s estimator over Grevy's sampling and training.

A thin facade. It turns what users pass into recordings, asks the engine to train, and leaves
behind the fitted attributes that `cebra`'s plots, metrics and checkpoints expect.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import cebra
import cebra.integrations.sklearn.utils as cebra_checks
import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from grevy.engine import PriorKind
from grevy.errors import GrevyError, UnsupportedError, unknown
from grevy.model.checkpoints import Checkpoints
from grevy.model.files import pack, read_saved, unpack, write_checkpoint
from grevy.model.fitted import Fitted
from grevy.model.fitting import train
from grevy.model.inputs import gather_recordings
from grevy.model.parameters import Parameters, check_parameters
from grevy.model.tasks import (
    Callback,
    Hook,
    task_of_adapting,
    task_of_fit,
    task_of_partial_fit,
)
from grevy.model.transforming import transform
from grevy.model.validation import Validation

__all__ = ["CEBRA"]


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
        ``"mps"`` has never been run.
    criterion : {"infonce"}
    distance : {"cosine", "euclidean"}
    conditional : {"time", "time_delta", "delta_normal"}, optional
        How positives follow from references; see `grevy.engine.SamplingPlan`. By default
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
        See `grevy.engine.make_masks`.
    seed : int, optional
        At least 0. A fresh one is drawn, and kept in ``seed_``, if not given.
    prior : {"empirical", "uniform"}, optional
        Whether references and negatives are as frequent as they come or every class equally so.
        By default, as in `cebra`: uniform with both discrete and other labels, else empirical.
    num_negatives : int, optional
        Negatives of each recording in a step; `batch_size` if not given.
    precision : {"float32", "bf16"}
        In which the encoder computes in training; weights, loss and optimiser are float32 in
        either. bf16 is faster where the processor multiplies it faster, and less exact.
    causal : bool
        Whether windows end at the present: the window at t then spans [t - W + 1, t], where it
        otherwise lies around t. `transform` and `grevy.Stream` look no step into the future.
    pad_short : bool
        Whether to train on segments too short for a sample as well (a window; in time, a window and
        the time offset). Their windows are padded with their first and last step, as `transform`
        pads the edges of all.

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
    validation_ : list of (int, float)
        Steps trained and the loss, in nats, on the validation segments, where some were given.
    preparations_ : tuple of Preparation, or None
        How each recording was prepared (`grevy.prepare`), if it was. Data given later are then
        prepared in the same way; arrays are taken as they were recorded.
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
        precision: Literal["float32", "bf16"] = "float32",
        causal: bool = False,
        pad_short: bool = False,
    ) -> None:
        given = locals()
        for name in self._get_param_names():
            setattr(self, name, given[name])

    @property
    def parameters(self) -> Parameters:
        """All parameters, checked.

        Raises
        ------
        GrevyError
            Naming every one that is out of range, and the range.
        """
        return check_parameters(self.get_params(deep=False))

    @property
    def fitted(self) -> Fitted:
        """All fitted attributes.

        Raises
        ------
        GrevyError
            If there are none.
        """
        if not cebra_checks.check_fitted(self):
            raise GrevyError("this CEBRA is not fitted. Call fit first.")
        return Fitted.of(self.__dict__)

    def take_up(self, fitted: Fitted) -> Self:
        """Take what a training has come to as the fitted attributes."""
        self.__dict__.update(fitted.attributes)
        return self

    @torch.inference_mode(False)  # nor without gradients, whatever the caller is in
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
        validation: Validation | None = None,
    ) -> Self:
        """Train a new model, adapt the one at hand to other neurons, or add a recording to it.

        Parameters
        ----------
        X : array_like of shape (T, N), Recording, or list of them
            A list is several recordings, each with neurons (and an encoder) of its own. Objects
            of pynapple and xarray bring their times along, and labels are aligned with them, as
            by `grevy.make_recording`; the index of a table of pandas is left aside, as in `cebra`.
        *y : array_like or Label
            Any number of labels of length T; floats are continuous, integers, booleans and strings
            discrete, `grevy.circular` makes angles. For several recordings, lists of labels.
        adapt : bool
            If the estimator is fitted, train for `max_adapt_iterations` steps: of one recording a
            new first layer alone; of a list, which is the recordings of the model and a new one
            last, an encoder for that one, to meet those of the others, which stay as they are.
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
            training that was never cut off. Parameters (but device and `max_iterations`, which
            may be larger) and data must be the same.
        validation : Validation, optional
            Segments, apart from those trained on, whose loss is watched, and when to stop early.

        Returns
        -------
        CEBRA
            Itself.

        Raises
        ------
        GrevyError
            If parameters or data are unusable; the message says how to mend it. The estimator is
            then as it was before.
        DivergedError
            If the loss is no longer finite; the estimator is usable as of the last good step.
        KeyboardInterrupt, SystemExit
            After Ctrl-C or SIGTERM; the estimator is usable as far as training got.
        """
        parameters, hook = self.parameters, Hook(callback, callback_frequency)
        recordings, several = gather_recordings(X, y, segments)
        if adapt and cebra_checks.check_fitted(self):
            if checkpoints is not None or validation is not None:
                raise GrevyError("adapt takes neither checkpoints nor validation. Drop them.")
            task = task_of_adapting(parameters, self.fitted, recordings, several, y, hook)
        else:
            task = task_of_fit(
                parameters,
                recordings,
                several,
                y,
                hook,
                checkpoints=checkpoints,
                resume=resume,
                validation=validation,
            )
        train([task], [self.take_up])
        return self

    @torch.inference_mode(False)  # nor without gradients, whatever the caller is in
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
        may be other than before, with the same number of neurons; parameters that made model,
        criterion or optimiser may not.
        """
        if not cebra_checks.check_fitted(self):
            return self.fit(
                X, *y, callback=callback, callback_frequency=callback_frequency, segments=segments
            )
        hook = Hook(callback, callback_frequency)
        task = task_of_partial_fit(self.parameters, self.fitted, X, y, hook, segments)
        train([task], [self.take_up])
        return self

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
            Without padding (``pad_before_transform=False``) W - 1 rows fewer for each segment; one
            row for several steps from a model that subsamples.
        """
        check_is_fitted(self, "n_features_")
        padded = self.pad_before_transform
        return transform(self.fitted, X, batch_size, session_id, segments, padded)

    def save(self, filename: str | Path, backend: Literal["torch", "sklearn"] = "sklearn") -> None:
        """Write the model to a file that `grevy.CEBRA.load` and `cebra.CEBRA.load` open.

        The file appears whole or not at all.

        Parameters
        ----------
        filename : str or Path
        backend : {"sklearn", "torch"}
            Kept for `cebra`'s sake; there is one format. ``"torch"``, which pickled the whole
            estimator there, warns.

        Raises
        ------
        GrevyError
            If the estimator is not fitted, or the place cannot be written to.
        UnsupportedError
            If there is no such backend.
        """
        if not cebra_checks.check_fitted(self):
            raise GrevyError("save: this CEBRA is not fitted. Call fit first.")
        _check_backend(backend, ["sklearn", "torch"])
        if backend == "torch":
            warnings.warn(
                "save: backend 'torch' would pickle the whole estimator, which runs code when it "
                "is opened. The file is written as by backend 'sklearn'; load opens it.",
                stacklevel=2,
            )
        write_checkpoint(self._get_state_dict(), Path(filename))

    def _get_state_dict(self) -> dict[str, Any]:
        return pack(self.get_params(), self.fitted)

    def __getstate__(self) -> dict[str, Any]:
        """Give model and solver as a checkpoint: not every class of `cebra` can be pickled."""
        state: dict[str, Any] = dict(super().__getstate__())
        if cebra_checks.check_fitted(self):
            buffer = io.BytesIO()
            torch.save(self._get_state_dict(), buffer)
            del state["model_"], state["solver_"]
            state["_checkpoint"] = buffer.getvalue()
        return state

    @torch.inference_mode(False)
    def __setstate__(self, state: dict[str, Any]) -> None:
        own = dict(state)
        checkpoint = own.pop("_checkpoint", None)
        super().__setstate__(own)
        if checkpoint is not None:
            contents = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=False)
            self.take_up(unpack(contents, None).fitted)

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
        backend : {"auto", "sklearn", "torch"}
            Kept for `cebra`'s sake; there is one format.
        weights_only : bool, optional
            False allows code pickled in the file to run: only for files from people you trust.
        map_location : str, optional
            Device to load to; by default the one it was trained on if it is here, else the CPU.

        Raises
        ------
        GrevyError
            If the file is broken, or holds pickled code or a model that is not fitted.
        MissingFileError, IsFolderError
            If there is no such file.
        NoModelError
            If it holds no CEBRA model.
        UnsupportedError
            If there is no such backend.
        """
        _check_backend(backend, ["auto", "sklearn", "torch"])
        saved = read_saved(Path(filename), map_location, trust=weights_only is False)
        return cls(**saved.parameters).take_up(saved.fitted)


def _check_backend(backend: str, known: list[str]) -> None:
    """Refuse a backend that `cebra` does not know either."""
    if backend not in known:
        raise unknown("backend", str(backend), known, UnsupportedError)
