"""A fitted model applied while samples come in: the embedding of the present, one at a time."""

import copy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from grevy.data import Preparation
from grevy.engine import window_embedder
from grevy.errors import GrevyError, UnsupportedError
from grevy.model.architectures import subsamples
from grevy.model.estimator import CEBRA
from grevy.model.fitted import Fitted
from grevy.model.transforming import encoder_of

Float32Array = npt.NDArray[np.float32]


class Decoder(Protocol):
    """What turns embeddings (k, D) into labels, as scikit-learn's fitted estimators do."""

    def predict(self, X: Any) -> Any:
        """Return one label for each row."""


class Stream:
    """Embed samples as they come, each with the W - 1 samples before it.

    The embedding of a sample is that of the window that ends with it: with a model trained by
    ``causal=True`` the row that `transform` gives for that step, of all that was recorded. Until W
    samples have come, the first stands for those before it, as in `transform`.

    A model whose windows lie around their step is taken too. What comes out is then the row of the
    step `delay` before the sample, which is as early as it can be known; the first `delay`
    embeddings belong to steps before the first.

    Samples are prepared as the data that the model was trained on: give them as they are recorded.

    Parameters
    ----------
    model : CEBRA
        Fitted; the stream has a copy of it, so that training it further changes nothing here.
    session_id : int, optional
        Which encoder, after a fit to several recordings.
    decoder : object, optional
        What `decode` asks: anything fitted with a ``predict`` that takes embeddings (k, D).

    Attributes
    ----------
    delay : int
        Steps by which an embedding is behind its sample; 0 for a causal model.

    Raises
    ------
    GrevyError
        If the model is no fitted `grevy.CEBRA`, or `decoder` has no ``predict``.
    SessionError
        If the model has several encoders and none of them was chosen.
    UnsupportedError
        If the model gives one row for several time steps, or was trained on data smoothed by a
        centred kernel, which needs samples of the future.
    """

    def __init__(
        self, model: CEBRA, session_id: int | None = None, decoder: Decoder | None = None
    ) -> None:
        if not isinstance(model, CEBRA):
            raise GrevyError(
                f"Stream: `model` is of type {type(model).__name__}; expected a fitted grevy.CEBRA,"
                f" such as grevy.CEBRA.load gives."
            )
        if decoder is not None and not callable(getattr(decoder, "predict", None)):
            raise GrevyError("Stream: `decoder` has no method predict. Give a fitted one.")
        fitted = model.fitted
        encoder: Any = copy.deepcopy(encoder_of(fitted, session_id, "Stream")).eval()
        if subsamples(encoder):
            raise UnsupportedError(
                f"Stream: model {type(encoder).__name__!r} gives one row for several time steps, "
                f"not one for each. Train another."
            )
        self._preparation = _preparation(fitted, session_id or 0)
        left, right = fitted.receptive_field
        self.delay = right - 1
        n_inputs = int(encoder.num_input)
        self._before, self._n_neurons = left + right - 1, n_inputs
        if self._preparation is not None:
            self._n_neurons = self._preparation.n_neurons
        self._embed = window_embedder(encoder, left + right, n_inputs, fitted.device)
        self._decoder = decoder
        self._past: _Past | None = None

    def push(self, samples: npt.ArrayLike) -> Float32Array:
        """Take the next sample, or the next few, and return their embedding.

        Parameters
        ----------
        samples : array_like of shape (N,) or (k, N)
            In the order of time.

        Returns
        -------
        ndarray of shape (D,) or (k, D), float32

        Raises
        ------
        GrevyError
            If `samples` is of another shape, or not finite numbers. None of them is then taken.
        """
        taken = self._checked(samples)
        embedding, self._past = self._embedded(np.atleast_2d(taken))
        return embedding if taken.ndim == 2 else embedding[0]

    def decode(self, samples: npt.ArrayLike) -> tuple[Float32Array, Any]:
        """Take samples as `push` does, and say what the decoder makes of their embedding.

        Returns
        -------
        embedding : ndarray of shape (D,) or (k, D)
        label : object
            What the decoder predicts of it: for a few samples as the decoder gives it, for one its
            only row.

        Raises
        ------
        GrevyError
            As `push`, or if there is no decoder. None of the samples is then taken, nor are they
            where the decoder fails.
        """
        if self._decoder is None:
            raise GrevyError("Stream: there is no decoder. Make the stream with `decoder=...`.")
        taken = self._checked(samples)
        embedding, past = self._embedded(np.atleast_2d(taken))
        labels = self._decoder.predict(embedding)
        self._past = past
        return (embedding, labels) if taken.ndim == 2 else (embedding[0], labels[0])

    def reset(self) -> None:
        """Forget the samples so far: the next one is the first, as at the start of a segment."""
        self._past = None

    def _checked(self, samples: npt.ArrayLike) -> Float32Array:
        """Return samples as float32."""
        given = np.asarray(samples)
        if given.ndim not in (1, 2) or given.shape[-1] != self._n_neurons or not given.size:
            n = self._n_neurons
            raise GrevyError(
                f"Stream: samples of shape {given.shape}; expected ({n},), or (k, {n}) for several,"
                f" as the model was trained on {n} neurons."
            )
        if given.dtype.kind not in "fiub":
            raise GrevyError(f"Stream: samples of dtype {given.dtype}; expected real numbers.")
        with np.errstate(over="ignore"):  # what overflows is infinite then
            taken = given.astype(np.float32)
        if not np.isfinite(taken).all():
            neuron = int(np.argwhere(~np.isfinite(taken))[0, -1])
            raise GrevyError(
                f"Stream: NaN, an infinite value or one too large for float32 in the samples "
                f"(neuron {neuron}). Leave the sample out, or fill it in."
            )
        return taken

    def _embedded(self, samples: Float32Array) -> tuple[Float32Array, "_Past"]:
        """Embed samples (k, N); return also what is the past to the next ones."""
        past, count, taken, prepared = self._past, len(samples), samples[:0], samples
        if self._preparation is not None:
            reach = self._preparation.before
            taken = samples if past is None else np.concatenate([past.samples, samples])
            prepared = self._preparation.activity(taken)[-count:].astype(np.float32)
            taken = taken[max(len(taken) - reach, 0) :].copy()
        before = np.repeat(prepared[:1], self._before, axis=0) if past is None else past.prepared
        rows = np.concatenate([before, prepared])
        values = [self._embed(rows[i : i + self._before + 1]).copy() for i in range(count)]
        return np.stack(values), _Past(taken, rows[count:].copy())


@dataclass(frozen=True, eq=False)
class _Past:
    """The last samples, as many as take part in preparing the next; and the last, prepared."""

    samples: Float32Array
    prepared: Float32Array


def _preparation(fitted: Fitted, number: int) -> Preparation | None:
    """Return how the data of an encoder were prepared.

    Raises
    ------
    UnsupportedError
        If that took samples of the future.
    """
    preparation = None if fitted.preparations is None else fitted.preparations[number]
    if preparation is not None and preparation.after:
        raise UnsupportedError(
            "Stream: the model was trained on data smoothed by a centred kernel, which needs "
            f"{preparation.after} samples of the future. Train it with `smoothing_kernel=causal`, "
            f"or `causal=True`."
        )
    return preparation
