"""What an embedding is scored beside: components, raw activity, UMAP, of the window that it sees.

An encoder reads a window of W time steps. A baseline that reads one of them would lose to it
whatever the encoder is worth, so each is given the same window: summed, which suits slow labels and
few spikes, or with its steps side by side (lagged), which a linear decoder can weigh. The better
of the two is chosen inside the training, as decoders are.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from grevy.data import TAU, Array, IntArray, Label, Split
from grevy.evaluation.baselines import principal_components, umap_components
from grevy.evaluation.decoding.decoder import Prepared, Reading, prepare
from grevy.evaluation.decoding.pairing import gain
from grevy.evaluation.decoding.scores import score
from grevy.evaluation.metrics import decoding_metrics, gain_metrics, plain_scores
from grevy.evaluation.windows import Way, Windowed

MOST_COLUMNS = 1024
"""Of more lagged columns (N x W), as many leading components of the N neurons are lagged as fit."""

NAMES = ("pca", "raw", "umap", "pca_one_step", "raw_one_step")
WAYS: tuple[Way, ...] = ("summed", "lagged")
ONE_STEP = "one step"


@dataclass(frozen=True, eq=False)
class Given:
    """What all baselines of a recording are made from.

    Attributes
    ----------
    neural : ndarray of shape (T, N)
        Read in parts; it may be a memory map.
    segments : ndarray of shape (S, 2)
    split : Split
        Components and UMAP are fitted to its training steps.
    window : tuple of int
        Steps before and after that the encoder sees: t - before to t + after - 1.
    dimension : int
        D, that of the embedding.
    umap_seed : int or None
        Whether UMAP is among them, and what it does by chance.
    """

    neural: Array
    segments: IntArray
    split: Split
    window: tuple[int, int]
    dimension: int
    umap_seed: int | None

    @property
    def is_one_step(self) -> bool:
        """Whether the window is the time step itself."""
        return self.window == (0, 1)


@dataclass(frozen=True, eq=False)
class Beside:
    """One baseline as it read every label.

    Attributes
    ----------
    columns : int
        Numbers that it is decoded from, for each time step.
    readings : dict of str to Reading
        By the name of the label.
    """

    columns: int
    readings: Mapping[str, Reading]


Baselines = Mapping[str, Mapping[str, Beside]]
"""By the name of the baseline, and by how its window was put together."""


def read_baselines(
    given: Given | None, labels: Sequence[Label], gap: int, seed: int
) -> dict[str, dict[str, Beside]]:
    """Decode every label from every baseline, one baseline in memory at a time.

    Parameters
    ----------
    given : Given or None
        None for no baselines at all.
    labels : sequence of Label
    gap, seed
        See `grevy.evaluation.evaluate`.

    Returns
    -------
    dict of str to dict of str to Beside
        ``pca``, ``raw`` and, if asked for, ``umap``, each "summed" and "lagged", then
        ``pca_one_step`` and ``raw_one_step``. Where the window is one step, ``pca``, ``raw`` and
        ``umap`` are of "one step", and there is no second line.
    """
    if given is None:
        return {}
    found: dict[str, dict[str, Beside]] = {name: {} for name in NAMES}
    for name, way, inputs in _inputs(given):
        ready = prepare(inputs, given.split, segments=given.segments, gap=gap, seed=seed)
        found[name][way] = Beside(inputs.shape[1], ready.read_all(labels))
    return {name: ways for name, ways in found.items() if ways}


def _inputs(given: Given) -> Iterator[tuple[str, str, Any]]:
    """Yield the name, the way and the numbers of each baseline."""
    second = "" if given.is_one_step else "_one_step"
    # The data first, and as it is: it is checked there, and windows of it need not be.
    yield f"raw{second}", ONE_STEP, given.neural
    yield f"pca{second}", ONE_STEP, _components(given, given.neural)
    if given.is_one_step:
        yield from _umap(given, ONE_STEP, given.neural)
        return
    for way in WAYS:
        windows = windowed(given, way)
        yield "raw", way, windows
        yield "pca", way, _components(given, windows)
        yield from _umap(given, way, windows)


def windowed(given: Given, way: Way) -> Windowed:
    """Put the steps of each window together; lagged neurons are reduced where they are many."""
    neural, room = given.neural, max(1, MOST_COLUMNS // sum(given.window))
    if way == "lagged" and neural.shape[1] > room:
        neural = principal_components(neural, given.split.train, room)
    return Windowed(neural, given.segments, *given.window, way)


def _components(given: Given, inputs: Any) -> Array:
    return principal_components(inputs, given.split.train, min(given.dimension, *inputs.shape))


def _umap(given: Given, way: str, inputs: Any) -> Iterator[tuple[str, str, Any]]:
    if given.umap_seed is not None:
        train, test = given.split.train, given.split.test
        yield "umap", way, umap_components(inputs, train, test, given.dimension, given.umap_seed)


def compare(
    label: Label, own: Reading, baselines: Baselines, n_bootstrap: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Score one label from every baseline, and say how much better the embedding is.

    Parameters
    ----------
    label : Label
    own : Reading
        Of the embedding.
    baselines : mapping
        Of `read_baselines`.
    n_bootstrap : int
        Resamples for the intervals; 0 for none.
    seed : int
        Decides the resamples.

    Returns
    -------
    dict of str to dict
        Scores, ``decoder`` and ``intervals`` by the name of the baseline, with ``columns``,
        ``window`` (how it was put together), ``by_window`` (the scores of each way, where there are
        two) and ``gain`` (see `grevy.evaluation.decoding.pairing.Gain`).
    """
    found = {}
    for name, ways in baselines.items():
        chosen = _better(ways, label)
        reading = ways[chosen].readings[label.name]
        metrics = {
            **decoding_metrics(reading.scored(label, n_bootstrap, seed)),
            "columns": ways[chosen].columns,
            "window": chosen,
        }
        if len(ways) > 1:
            metrics["by_window"] = {
                way: {
                    **decoding_metrics(each.readings[label.name].scored(label, 0, seed)),
                    "columns": each.columns,
                }
                for way, each in ways.items()
            }
        true = label.values[own.layout.test]
        ours = gain(label, true, own.decoded, reading.decoded, n_bootstrap, seed)
        found[name] = {**metrics, "gain": gain_metrics(ours)}
    return found


def _better(ways: Mapping[str, Beside], label: Label) -> str:
    """Choose by the inner folds of the training; where there are none, the first."""
    inner = {way: each.readings[label.name].inner for way, each in ways.items()}
    return max(inner, key=lambda way: (not np.isnan(inner[way]), inner[way]))


def constant_answer(label: Label, prepared: Prepared) -> dict[str, Any]:
    """Score one constant answer: the training's mean, mean direction, or commonest class.

    The balanced accuracy is that of any class tested, among which the commonest need not be.
    """
    train, layout = label.values[prepared.layout.train], prepared.layout
    if label.kind == "continuous":
        answer = train.mean(axis=0)
    elif label.kind == "circular":
        answer = np.mod(np.angle(np.exp(1j * train).mean()), TAU)
    else:
        answer = np.bincount(train).argmax()
    answers = (np.repeat(answer[None], len(rows), axis=0) for rows in (layout.test, layout.sample))
    plain = {**plain_scores(score(label, layout, *answers)), "decoder": "constant"}
    if label.kind == "discrete":
        plain["balanced_accuracy"] = plain["balanced_chance"]
    return plain
