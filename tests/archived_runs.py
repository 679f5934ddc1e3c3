"""Made runs, as an archive holds them: no training, but everything that a report can show."""

import json
from pathlib import Path

import numpy as np

from grevy import archive
from grevy.config import config_text, make_config
from grevy.data.labels import TAU, make_label
from grevy.data.recording import make_recording
from grevy.evaluation.scoring import Decoded
from grevy.runs import environment


def typed(text):
    """A text with the signs of a keyboard."""
    return text.translate({0xA0: " ", 0x2212: "-", 0x2013: "-"})


HOSTILE = "<script>alert(1)</script>"


def made_labels(length, names=None, classes=("apple", "banana", "cedar", "dill")):
    """One label of each kind, slow against a time step."""
    phase = np.arange(length) / 9 + np.sin(np.arange(length) / 31)
    names = names or ("velocity", "direction", "odour")
    velocity = np.stack([np.sin(phase / 3), np.cos(phase / 4)], axis=1) * 12
    code = (np.mod(phase, TAU) / TAU * len(classes)).astype(int)
    return (
        make_label(names[0], velocity, "continuous"),
        make_label(names[1], np.rad2deg(phase), "circular", 360.0),
        make_label(names[2], np.array(classes)[code], "discrete"),
    )


def decoded_label(label, steps, rng):
    """What a decoder that is right on the whole might say."""
    true = label.unit_values if label.kind == "circular" else label.values
    noise = rng.normal(size=(len(steps), *true.shape[1:]))
    if label.kind == "continuous":
        return Decoded(steps, true[steps], true[steps] + 4 * noise)
    if label.kind == "circular":
        return Decoded(steps, true[steps], np.mod(true[steps] + 30 * noise, label.period))
    guess = np.where(rng.random(len(steps)) < 0.7, true[steps], 0)
    return Decoded(steps, true[steps], guess)


SCORES = {
    "continuous": {
        "train_r2": 0.75, "test_r2": 0.71, "per_dimension_test_r2": [0.8, 0.62],
        "variance_weighted_r2": 0.72, "mean_absolute_error": 3.2, "median_absolute_error": 2.5,
    },
    "circular": {
        "train_mean_error": 22.0, "mean_error": 24.0, "median_error": 18.0, "correlation": 0.8,
    },
    "discrete": {
        "train_accuracy": 0.8, "accuracy": 0.78, "balanced_accuracy": 0.75, "f1": 0.74,
        "chance": 0.25,
    },
}  # fmt: skip
MAIN = {"continuous": "test_r2", "circular": "mean_error", "discrete": "balanced_accuracy"}
CHANCE = {"continuous": -0.02, "circular": 90.0, "discrete": 0.25}


# How far apart two scores of a kind usually are.
SCALE = {"continuous": 0.4, "circular": 40.0, "discrete": 0.4}
DIMENSION, NEURONS = 3, 5


def made_scores(
    kind, value=None, low_high=None, pca=None, p=1 / 51, n=50, *, window_steps=10, gain_ends=None,
    raw=None, raw_ends=None, p_adjusted=None, method="folds",
):  # fmt: skip
    """Scores of one label in the schema of the metrics; the main score and its rivals as given.

    `gain_ends` and `raw_ends` are the intervals of the embedding's gain over components and over
    raw activity; by default the one lies above 0, and the other covers it.
    """
    main, scale = MAIN[kind], SCALE[kind]
    value = SCORES[kind][main] if value is None else value
    better = -1 if kind == "circular" else 1
    pca = value - better * scale / 2 if pca is None else pca
    raw = value + better * scale / 20 if raw is None else raw
    ends = low_high or (value - 0.1 * scale, value + 0.1 * scale)
    own = {**SCORES[kind], main: value, "decoder": "ridge, alpha 1", "intervals": {main: [*ends]}}
    gains = {"pca": gain_ends or _near(better * (value - pca), 0.1 * scale)}
    gains["raw"] = raw_ends or _near(better * (value - raw), 0.15 * scale)
    rivals = made_rivals(kind, {"pca": pca, "raw": raw}, gains, own, window_steps)
    return {
        "kind": kind,
        "random": {**SCORES[kind], "decoder": "ridge, alpha 1"},
        "blocked": {"embedding": own, **rivals, "chance": {main: CHANCE[kind]}},
        "null": made_null(better * value, scale, p, n, p_adjusted, method),
    }


def made_rivals(kind, scores, gains, own, window_steps):
    """Baselines of one label: with a window of several steps, those of one step beside them."""
    main, scale = MAIN[kind], SCALE[kind]
    better = -1 if kind == "circular" else 1
    wide = window_steps is not None and window_steps > 1
    window = {"pca": "summed", "raw": "lagged"} if wide else dict.fromkeys(scores, "one step")
    numbers = {"pca": DIMENSION, "raw": NEURONS * (window_steps if wide else 1)}
    found, alone = {}, {}
    for name, score in scores.items():
        near = {main: [score - 0.05 * scale, score + 0.05 * scale]}
        found[name] = {
            **own, main: score, "intervals": near, "columns": numbers[name],
            "window": window[name],
            "gain": {"score": main, "value": sum(gains[name]) / 2, "interval": list(gains[name])},
        }  # fmt: skip
        if wide:
            worse, one = score - better * scale / 10, score - better * scale / 4
            few = {"pca": DIMENSION, "raw": NEURONS}[name]
            known = {"decoder": "k nearest neighbours"}
            found[name]["by_window"] = {
                each: {
                    **SCORES[kind], **known, main: score if each == window[name] else worse,
                    "columns": numbers[name] if each == "lagged" else few,
                }
                for each in ("summed", "lagged")
            }  # fmt: skip
            gain = better * (own[main] - one)
            alone[f"{name}_one_step"] = {
                **own, main: one, "intervals": {main: [one - 0.05 * scale, one + 0.05 * scale]},
                "columns": few, "window": "one step",
                "gain": {"score": main, "value": gain, "interval": [*_near(gain, 0.1 * scale)]},
            }  # fmt: skip
    return {**found, **alone}


def _near(middle, reach):
    return middle - reach, middle + reach


def made_null(observed, scale, p, n, p_adjusted=None, method="folds"):
    """A null test in the schema of the metrics, in which so many nulls do as well as `p` says."""
    values = np.linspace(-0.2, -0.01, n) * scale + observed
    values[: round(p * (1 + n)) - 1] = observed
    return {
        "statistic": "a score", "observed": observed, "values": values.tolist(), "p": p, "n": n,
        "how": "shifted within segments", "method": method,
        **({"folds": 5} if method == "folds" else {}),
        **({} if p_adjusted is None else {"p_adjusted": p_adjusted}),
    }  # fmt: skip


def made_folds(kind, values):
    """A K-fold evaluation of one label in the schema of the metrics."""
    mean = sum(values) / len(values)
    pooled = {**SCORES[kind], MAIN[kind]: mean, "decoder": "ridge, alpha 1"}
    pooled["intervals"] = {MAIN[kind]: [0.9 * mean, 1.1 * mean]}
    return {
        "score": MAIN[kind], "values": list(values), "mean": mean,
        "test_steps": [100] * len(values), "pooled": pooled,
    }  # fmt: skip


def made_metrics(labels, steps, *, window_steps=10, **scores):
    found = {
        "goodness_of_fit_bits": 2.5,
        "goodness_of_fit_heldout_bits": 2.25,
        "scores": {
            label.name: made_scores(label.kind, window_steps=window_steps, **scores)
            for label in labels
        },
        "leaky": {label.name: True for label in labels},
        "holdout": {"train_steps": 4 * len(steps), "test_steps": len(steps)},
        "consistency": {"names": ["0", "1"], "r2": [[1.0, 0.9], [0.92, 1.0]], "mean": 0.91},
    }
    return found if window_steps is None else {**found, "window_steps": window_steps}


def scored_run(scores, window_steps=10, labels=(), dimension=DIMENSION):
    """A run of which hardly more than its scores is known, in memory alone."""
    metrics = {"scores": scores, **({"window_steps": window_steps} if window_steps else {})}
    embedding = np.zeros((2, dimension), np.float32)
    return archive.ArchivedRun(
        archive.RunFolder(Path("none")), {}, metrics, {"files": {}}, embedding, tuple(labels),
        np.array([[0, 2]]), None, {}, {},
    )  # fmt: skip


def made_embedding(length, dimension, labels):
    rng = np.random.default_rng(dimension)
    embedding = rng.normal(size=(length, dimension)).astype(np.float32)
    if labels:
        embedding[:, 0] += labels[0].values.reshape(length, -1)[:, 0]
    return embedding


def held_out(length, blocks=3):
    """A fifth of the time steps, in blocks."""
    size = length // 5 // blocks
    starts = [int((block + 0.5) * length / blocks - size / 2) for block in range(blocks)]
    return np.concatenate([np.arange(start, start + size) for start in starts])


def write_run(
    root, labels=None, *, length=300, dimension=DIMENSION, segments=None, sampling_rate=20.0,
    lengths=None, source="~/data/session.npz", steps=200, metrics=None, config=None, embedding=None,
    decode=True,
):  # fmt: skip
    """Archive a made run; everything that it lacks can be changed or removed afterwards."""
    rng = np.random.default_rng(0)
    labels = made_labels(length) if labels is None else labels
    test = held_out(length)
    folder = archive.open_folder(root)
    whole = make_recording(
        np.zeros((length, NEURONS), np.float32), labels, segments=segments,
        sampling_rate=sampling_rate, source=source,
    )  # fmt: skip
    if embedding is None:
        embedding = made_embedding(length, dimension, labels)
        outside = np.ones(length, bool)
        for start, stop in whole.segments:
            outside[start:stop] = False
        embedding[outside] = np.nan
    loss = 4 + np.exp(-np.arange(steps) / 40) + 0.05 * rng.normal(size=steps)
    flat = np.ones(steps)
    settled = {"dataset": "demo-mixed", "seed": 7, "device": "cpu", "time_offsets": 10}
    settings = make_config({**settled, **(config or {})})
    archive.write_bytes(
        folder / archive.CONFIG, config_text(settings.model_dump(mode="json")).encode()
    )
    archive.write_array(folder / archive.EMBEDDING, embedding)
    archive.write_history(
        folder / archive.HISTORY, {"total": loss, "pos": flat, "neg": flat, "temperature": flat}
    )
    metrics = made_metrics(labels, test) if metrics is None else metrics
    archive.write_bytes(folder / archive.METRICS, json.dumps(metrics).encode())
    archive.write_labels(folder, whole)
    decoded = {label.name: decoded_label(label, test, rng) for label in labels} if decode else {}
    archive.write_decoded(folder, decoded)
    recordings = [whole]
    if lengths is not None:
        recordings = [make_recording(np.zeros((n, 5), np.float32), source=source) for n in lengths]
    archive.seal(folder, recordings, "0123456789ab", 61.5, environment())
    return folder
