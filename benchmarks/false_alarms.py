"""How often the evaluation cries wolf, and how often it misses one: simulations, as a table.

unrelated   recordings whose labels have nothing to do with the neurons, embedded by PCA
trained     the same, embedded by an encoder trained on the training blocks and, to show why not
            to, by one trained on everything
power       recordings in which the neurons tell a little of the label (ridge R2 of the raw
            data 0.1 to 0.2 on held-out blocks)
noise       goodness of fit, in training and held out, of encoders trained on noise

Each call works for some seconds, keeps what it has done in the JSON file and goes on there when
called again; it says what is left.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

import grevy
from grevy.data import (
    TAU,
    Label,
    Recording,
    Split,
    blocked_split,
    circular,
    continuous,
    discrete,
    make_recording,
    random_split,
    training_segments,
)
from grevy.evaluation import (
    DiscreteScores,
    Prepared,
    decode,
    null_test,
    prepare,
    principal_components,
)
from grevy.model import goodness_of_fit, heldout_goodness_of_fit

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]

HERE = Path(__file__).parent
T, N, D, GAP = 5000, 30, 8, 20
NULLS, SHUFFLES = 50, 39
WHOLE = np.array([[0, T]])
SPLIT = blocked_split(WHOLE, 0.2, GAP)
LEAKY = random_split(T, 0.2, 42)
# Time constants of the label, in steps: from half a thousandth to a fifteenth of the recording.
KINDS = (
    "continuous 10", "continuous 30", "continuous 100", "continuous 300",
    "blocks 50", "blocks 200", "angle 30", "angle 100",
)  # fmt: skip
OF_NEURONS = (10, 30, 100, 300)
ENCODER: dict[str, Any] = {
    "model_architecture": "offset10-model",
    "max_iterations": 500,
    "batch_size": 256,
    "time_offsets": 10,
    "output_dimension": D,
    "device": "cpu",
}
SECTIONS = {"unrelated": 200, "trained": 40, "power": 50, "noise": 40}


def slow(rng: np.random.Generator, tau: float, columns: int = 1) -> Floats:
    """Make Ornstein-Uhlenbeck processes of unit variance, (T, columns)."""
    keep = np.exp(-1 / tau)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(T, columns))
    noise[0] = rng.normal(size=columns)
    return np.asarray(lfilter([1], [1, -keep], noise, axis=0))


def unrelated_label(kind: str, rng: np.random.Generator) -> Label:
    name, tau = kind.split()
    if name == "continuous":
        return continuous(slow(rng, float(tau)))
    if name == "angle":
        return circular(np.arctan2(*slow(rng, float(tau), 2).T))
    changes = rng.random(T) < 1 / float(tau)
    changes[0] = True
    return discrete(rng.permutation(3)[rng.integers(0, 3, T)[np.maximum.accumulate(
        np.where(changes, np.arange(T), 0))]])  # fmt: skip


def spikes(drive: Floats, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Make Poisson counts of N neurons whose log rates follow a few slow processes."""
    weights = rng.normal(0, 0.5, size=(drive.shape[1], N))
    return rng.poisson(np.exp(drive @ weights - 0.5)).astype(np.float32)


def above_chance(prepared: Prepared, label: Label) -> float:
    """Score a label so that 0 is chance and 1 perfect: R2, or what corresponds to it."""
    found = prepared.decode(label, 0)
    if label.kind == "continuous":
        return found.statistic
    if label.kind == "circular":
        return 1 + found.statistic / (TAU / 4)
    assert isinstance(found.scores, DiscreteScores)
    chance = found.scores.balanced_chance
    return (found.statistic - chance) / (1 - chance)


def shuffled_p(prepared: Prepared, label: Label, rng: np.random.Generator) -> float:
    """Compare with labels in a random order, as is often done: blind to slowness."""
    observed = prepared.statistic(label)
    null = [prepared.statistic(label.take(rng.permutation(T))) for _ in range(SHUFFLES)]
    return (1 + sum(each >= observed for each in null)) / (1 + SHUFFLES)


def judged(embedding: Any, label: Label, seed: int, metric: Any = "euclidean") -> Row:
    """Score one embedding on held-out blocks with its nulls."""
    found = null_test(embedding, label, SPLIT, n=NULLS, gap=GAP, seed=seed, metric=metric)
    ready = prepare(embedding, SPLIT, gap=GAP, seed=seed, metric=metric)
    return {"p": found.p, "score": above_chance(ready, label), "note": found.note}


def judged_leaky(embedding: Any, label: Label, seed: int, metric: Any = "euclidean") -> Row:
    """Score one embedding as is often done: neighbours, a random split, shuffled labels."""
    ready = prepare(embedding, LEAKY, seed=seed, metric=metric, decoder="knn")
    rng = np.random.default_rng([seed, 3])
    return {"p": shuffled_p(ready, label, rng), "score": above_chance(ready, label)}


def unrelated_recording(number: int) -> tuple[str, npt.NDArray[np.float32], Label]:
    rng = np.random.default_rng([1, number])
    kind = KINDS[number % len(KINDS)]
    tau = OF_NEURONS[(number // len(KINDS)) % len(OF_NEURONS)]
    return kind, spikes(slow(rng, tau, 5), rng), unrelated_label(kind, rng)


def unrelated(number: int) -> Row:
    kind, neural, label = unrelated_recording(number)
    components = principal_components(neural, SPLIT.train, D)
    return {
        "kind": kind,
        "blocked": judged(components, label, number),
        "random": judged_leaky(components, label, number),
    }


def encoder(neural: Any, label: Label, seed: int, split: Split | None) -> Any:
    """Train an encoder on the training blocks, or on everything, and embed everything."""
    runs = WHOLE if split is None else training_segments(WHOLE, split.train)
    recording = make_recording(neural, [label], segments=runs)
    model = grevy.CEBRA(**ENCODER, seed=seed).fit(recording)
    return model.transform(neural)


def trained(number: int) -> Row:
    kind, neural, label = unrelated_recording(number)
    held_out = encoder(neural, label, number, SPLIT)
    everything = encoder(neural, label, number, None)
    return {
        "kind": kind,
        "blocked": judged(held_out, label, number, "cosine"),
        "random": judged_leaky(everything, label, number, "cosine"),
    }


def weakly_related(rng: np.random.Generator) -> tuple[Any, Label, float]:
    """Mix signal and noise until the raw data tells the wanted part of the label."""
    tau = float(rng.choice(OF_NEURONS[:3]))
    drive = slow(rng, tau, 5)
    neural = spikes(drive, rng)
    signal, noise, wanted = drive[:, :1], slow(rng, tau), rng.uniform(0.11, 0.19)
    low, high = 0.0, 1.0
    for _ in range(14):
        share = (low + high) / 2
        label = continuous(np.sqrt(share) * signal + np.sqrt(1 - share) * noise)
        reached = decode(neural, label, SPLIT, decoder="ridge", gap=GAP, n_bootstrap=0).statistic
        low, high = (share, high) if reached < wanted else (low, share)
    return neural, label, reached


def power(number: int) -> Row:
    rng = np.random.default_rng([2, number])
    neural, label, reached = weakly_related(rng)
    row: Row = {"raw_r2": reached, "raw": judged(neural, label, number)}
    components = principal_components(neural, SPLIT.train, D)
    row["pca"] = judged(components, label, number)
    if number % 2 == 0:  # training takes its time
        row["encoder"] = judged(encoder(neural, label, number, SPLIT), label, number, "cosine")
    return row


def noise_recording(rng: np.random.Generator, kinds: str) -> Recording:
    made = {
        "y": continuous(rng.normal(size=T), "y"),
        "a": circular(rng.uniform(0, TAU, T), name="a"),
        "k": discrete(rng.integers(0, 4, T), "k"),
    }
    labels = [made[each] for each in kinds]
    return make_recording(rng.normal(size=(T, N)), labels)


NOISE_MODES: dict[str, tuple[str, int, Row]] = {
    "time": ("", 1, {"conditional": "time"}),
    "continuous": ("y", 1, {}),
    "circular": ("a", 1, {}),
    "discrete": ("k", 1, {}),
    "mixed": ("yk", 1, {}),
    "hybrid": ("y", 1, {"hybrid": True}),
    "several recordings": ("y", 2, {}),
    "whole data": ("y", 1, {"batch_size": None, "max_iterations": 30}),
}


def noise(number: int) -> Row:
    mode = list(NOISE_MODES)[number % len(NOISE_MODES)]
    kinds, n_recordings, options = NOISE_MODES[mode]
    settings = {**ENCODER, "model_architecture": "offset1-model", "time_offsets": 1, **options}
    rng = np.random.default_rng([3, number])
    recordings = [noise_recording(rng, kinds) for _ in range(n_recordings)]
    fresh = [noise_recording(rng, kinds) for _ in range(n_recordings)]
    model = grevy.CEBRA(**settings, seed=number)
    model.fit(recordings if n_recordings > 1 else recordings[0])
    found = heldout_goodness_of_fit(model, fresh, seed=number)
    return {
        "kind": mode,
        "training": goodness_of_fit(model),
        "bits": found.bits,
        "error": found.standard_error,
    }


MAKERS: dict[str, Callable[[int], Row]] = {
    "unrelated": unrelated,
    "trained": trained,
    "power": power,
    "noise": noise,
}


def alarms(rows: list[Row]) -> str:
    below = sum(row["p"] < 0.05 for row in rows)
    return f"{below:4d} of {len(rows):3d} ({below / max(len(rows), 1):4.0%})"


def median(rows: list[Row]) -> float:
    return float(np.median([row["score"] for row in rows]))


def false_alarm_lines(rows: list[Row], what: str) -> Iterator[str]:
    yield f"{what:22}{'p < 0.05, moved labels':>24}{'median score':>14}" + (
        f"{'random split: shuffles':>26}{'median score':>14}"
    )
    for kind in (*KINDS, "all"):
        chosen = [row for row in rows if kind in ("all", row["kind"])]
        if chosen:
            blocked = [row["blocked"] for row in chosen]
            leaky = [row["random"] for row in chosen]
            yield (
                f"{kind:22}{alarms(blocked):>24}{median(blocked):14.3f}"
                f"{alarms(leaky):>26}{median(leaky):14.3f}"
            )


def power_lines(rows: list[Row]) -> Iterator[str]:
    yield f"{'power':22}{'p < 0.05':>24}{'median R2':>14}"
    for name in ("raw", "pca", "encoder"):
        chosen = [row[name] for row in rows if name in row]
        if chosen:
            yield f"{name:22}{alarms(chosen):>24}{median(chosen):14.3f}"


def noise_lines(rows: list[Row]) -> Iterator[str]:
    yield f"{'noise, bits':22}{'training':>12}{'held out':>12}{'its error':>12}{'n':>6}"
    for mode in NOISE_MODES:
        chosen = [row for row in rows if row["kind"] == mode]
        if chosen:
            means = [np.mean([row[key] for row in chosen]) for key in ("training", "bits", "error")]
            numbers = "".join(f"{each:12.4f}" for each in means)
            yield f"{mode:22}{numbers}{len(chosen):6d}"


def table(done: dict[str, list[Row]]) -> Iterator[str]:
    yield from false_alarm_lines(done["unrelated"], "PCA, unrelated labels")
    yield ""
    yield from false_alarm_lines(done["trained"], "encoder, unrelated")
    yield ""
    yield from power_lines(done["power"])
    yield ""
    yield from noise_lines(done["noise"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="to work in this call")
    parser.add_argument("--only", choices=list(SECTIONS))
    parser.add_argument("--output", type=Path, default=HERE / "false_alarms.json")
    options = parser.parse_args()
    done: dict[str, list[Row]] = {section: [] for section in SECTIONS}
    if options.output.exists():
        done.update(json.loads(options.output.read_text()))
    began = time.monotonic()
    for section, wanted in SECTIONS.items():
        if options.only in (None, section):
            while len(done[section]) < wanted and time.monotonic() - began < options.seconds:
                done[section].append(MAKERS[section](len(done[section])))
    options.output.write_text(json.dumps(done, indent=1) + "\n")
    print("\n".join(table(done)))
    left = {name: wanted - len(done[name]) for name, wanted in SECTIONS.items()}
    print(f"\nleft to do: {left}" if any(left.values()) else "\ncomplete")


if __name__ == "__main__":
    main()
