"""How often the evaluation cries wolf, and how often it misses one: simulations, as a table.

unrelated   recordings whose labels have nothing to do with the neurons, embedded by PCA
trained     the same and trials, by encoders of two receptive fields, with the p of a run: five
            folds, and the held-out blocks of `--folds 0`
leaky       the same by one encoder trained on everything, to show why not to
power       recordings in which the neurons tell a little of the label (ridge R2 of the raw
            data 0.1 to 0.2 on held-out blocks)
family      five unrelated labels at once: is any found, with Holm's p
noise       goodness of fit, in training and held out, of encoders trained on noise

Each call works for some seconds, keeps what it has done in the JSON file and goes on there when
called again; it says what is left. Several calls may share the work (`--part 0 --of 2`), each with
a file of its own; `--also` reads those of others into the table.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.stats import binomtest

import grevy
from grevy.data import (
    TAU,
    Label,
    Recording,
    Split,
    block_folds,
    blocked_split,
    circular,
    continuous,
    discrete,
    make_recording,
    random_split,
    restricted,
)
from grevy.errors import GrevyError
from grevy.evaluation import (
    DiscreteScores,
    NullTest,
    Prepared,
    decode,
    evaluate,
    evaluate_folds,
    null_test,
    prepare,
    principal_components,
)
from grevy.model import goodness_of_fit, heldout_goodness_of_fit

Floats = npt.NDArray[np.float64]
Row = dict[str, Any]

HERE = Path(__file__).parent
T, N, D, GAP, TRIAL = 5000, 30, 8, 20, 50
NULLS, SHUFFLES, FOLDS = 1000, 39, 5
WHOLE = np.array([[0, T]])
TRIALS = np.stack([np.arange(0, T, TRIAL), np.arange(0, T, TRIAL) + TRIAL], axis=1)
SPLIT = blocked_split(WHOLE, 0.2, GAP)
LEAKY = random_split(T, 0.2, 42)
# Time constants of the label, in steps: from half a thousandth to a fifteenth of the recording.
KINDS = (
    "continuous 10", "continuous 30", "continuous 100", "continuous 300",
    "blocks 50", "blocks 200", "angle 30", "angle 100",
)  # fmt: skip
WITH_TRIALS = (*KINDS, "trials 50")
OF_NEURONS = (10, 30, 100, 300)
ENCODER: dict[str, Any] = {
    "model_architecture": "offset10-model",
    "max_iterations": 500,
    "batch_size": 128,
    "time_offsets": 10,
    "output_dimension": D,
    "device": "cpu",
}
ARCHITECTURES = ("offset10-model", "offset5-model")
SECTIONS = {
    "unrelated": 200, "trained": 432, "leaky": 40, "power": 120, "family": 150, "noise": 40,
}  # fmt: skip


def slow(rng: np.random.Generator, tau: float, columns: int = 1) -> Floats:
    """Make Ornstein-Uhlenbeck processes of unit variance, (T, columns)."""
    keep = np.exp(-1 / tau)
    noise = np.sqrt(1 - keep**2) * rng.normal(size=(T, columns))
    noise[0] = rng.normal(size=columns)
    return np.asarray(lfilter([1], [1, -keep], noise, axis=0))


def unrelated_label(kind: str, rng: np.random.Generator, name: str = "label") -> Label:
    what, tau = kind.split()
    if what == "continuous":
        return continuous(slow(rng, float(tau)), name)
    if what == "angle":
        return circular(np.arctan2(*slow(rng, float(tau), 2).T), name=name)
    if what == "trials":
        return discrete(np.repeat(rng.integers(0, 3, T // TRIAL), TRIAL), name)
    changes = rng.random(T) < 1 / float(tau)
    changes[0] = True
    held = np.maximum.accumulate(np.where(changes, np.arange(T), 0))
    return discrete(rng.permutation(3)[rng.integers(0, 3, T)[held]], name)


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


def refitted(embedding: Any, label: Label, seed: int, metric: Any = "euclidean") -> Row:
    """Score one embedding on held-out blocks; the decoder is fitted anew to each moved label."""
    ready = prepare(embedding, SPLIT, gap=GAP, seed=seed, metric=metric)
    row: Row = {"p": None, "score": above_chance(ready, label)}
    try:
        found = null_test(embedding, label, SPLIT, n=50, gap=GAP, seed=seed, metric=metric)
    except GrevyError:
        return row
    return {**row, "p": found.p}


def judged_leaky(embedding: Any, label: Label, seed: int, metric: Any = "euclidean") -> Row:
    """Score one embedding as is often done: neighbours, a random split, shuffled labels."""
    ready = prepare(embedding, LEAKY, seed=seed, metric=metric, decoder="knn")
    rng = np.random.default_rng([seed, 3])
    return {"p": shuffled_p(ready, label, rng), "score": above_chance(ready, label)}


def unrelated_recording(
    number: int, kinds: Sequence[str] = KINDS
) -> tuple[str, float, npt.NDArray[np.float32], Label]:
    rng = np.random.default_rng([1, number])
    kind = kinds[number % len(kinds)]
    tau = OF_NEURONS[(number // len(kinds)) % len(OF_NEURONS)]
    return kind, tau, spikes(slow(rng, tau, 5), rng), unrelated_label(kind, rng)


def unrelated(number: int) -> Row:
    kind, _, neural, label = unrelated_recording(number)
    components = principal_components(neural, SPLIT.train, D)
    return {"kind": kind, "blocked": refitted(components, label, number)}


def encoder(recording: Recording, seed: int, split: Split | None, **settings: Any) -> Any:
    """Train an encoder on the training blocks, or on everything, and embed everything."""
    seen = recording if split is None else restricted([recording], split.train)[0]
    return grevy.CEBRA(**{**ENCODER, **settings}, seed=seed).fit(seen).transform(recording)


def by_folds(recording: Recording, seed: int, **settings: Any) -> dict[str, float | None]:
    """Return the p of a run for each label: one encoder for each of five folds."""
    found = evaluate_folds(
        recording,
        block_folds(recording.segments, FOLDS, GAP),
        lambda fold: encoder(recording, seed, fold, **settings),
        nulls=NULLS, seed=seed, gap=GAP, metric="cosine", n_bootstrap=0,
    )  # fmt: skip
    nulls = {name: each.null for name, each in found.items()}
    return {name: null.p if isinstance(null, NullTest) else None for name, null in nulls.items()}


def trained(number: int) -> Row:
    kind, tau, neural, label = unrelated_recording(number, WITH_TRIALS)
    architecture = ARCHITECTURES[number // (len(WITH_TRIALS) * len(OF_NEURONS)) % 2]
    segments = TRIALS if kind.startswith("trials") else WHOLE
    recording = make_recording(neural, [label], segments=segments)
    split = blocked_split(segments, 0.2, GAP)
    embedding = encoder(recording, number, split, model_architecture=architecture)
    alone = evaluate(
        embedding, recording, split, nulls=NULLS, seed=number, gap=GAP, metric="cosine",
        n_bootstrap=0,
    ).metrics["scores"][label.name]  # fmt: skip
    return {
        "kind": kind,
        "tau": tau,
        "architecture": architecture,
        "folds": by_folds(recording, number, model_architecture=architecture)[label.name],
        "held_out": alone.get("null", {}).get("p"),
    }


def leaky(number: int) -> Row:
    kind, _, neural, label = unrelated_recording(number)
    everything = encoder(make_recording(neural, [label]), number, None)
    components = principal_components(neural, SPLIT.train, D)
    return {
        "kind": kind,
        "encoder": judged_leaky(everything, label, number, "cosine"),
        "pca": judged_leaky(components, label, number),
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
    recording = make_recording(neural, [label])
    architecture = ARCHITECTURES[number % 2]
    embedding = encoder(recording, number, SPLIT, model_architecture=architecture)
    components = principal_components(neural, SPLIT.train, D)
    return {
        "raw_r2": reached,
        "raw": refitted(neural, label, number)["p"],
        "pca": refitted(components, label, number)["p"],
        "refitted": refitted(embedding, label, number, "cosine")["p"],
        "folds": by_folds(recording, number, model_architecture=architecture)[label.name],
    }


def family(number: int) -> Row:
    """Train on five unrelated labels at once, as a run does, and take the smallest p."""
    rng = np.random.default_rng([4, number])
    neural = spikes(slow(rng, float(rng.choice(OF_NEURONS)), 5), rng)
    kinds = rng.choice([kind for kind in KINDS if kind.startswith("continuous")], 5)
    labels = [unrelated_label(kind, rng, f"label {place}") for place, kind in enumerate(kinds)]
    recording = make_recording(neural, labels)
    found = by_folds(recording, number, model_architecture=ARCHITECTURES[number % 2])
    known = [p for p in found.values() if p is not None]
    least = min(known, default=None)
    # Of the adjusted p, none is below that of the smallest.
    holm = None if least is None else min(1.0, len(known) * least)
    return {"plain": least, "holm": holm, "known": len(known)}


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
    "leaky": leaky,
    "power": power,
    "family": family,
    "noise": noise,
}


def alarms(values: Sequence[float | None]) -> str:
    """Count the p below 0.05 among those that were given, with a 95 % interval of the rate."""
    known = [p for p in values if p is not None]
    if not known:
        return f"none of {len(values)} has a p"
    below = sum(p < 0.05 for p in known)
    ends = binomtest(below, len(known)).proportion_ci(method="wilson")
    refused = f", {len(values) - len(known)} refused" if len(known) < len(values) else ""
    rate = f"{below / len(known):.1%} [{ends.low:.1%}, {ends.high:.1%}]"
    return f"{below} of {len(known)}: {rate}{refused}"


def trained_lines(rows: list[Row]) -> Iterator[str]:
    yield f"{'encoders, unrelated':24}{'five folds':>46}{'held-out blocks':>46}"
    groups: list[tuple[str, Callable[[Row], bool]]] = [
        *((kind, lambda row, kind=kind: row["kind"] == kind) for kind in WITH_TRIALS),
        *((f"neurons {tau}", lambda row, tau=tau: row["tau"] == tau) for tau in OF_NEURONS),
        *((name, lambda row, name=name: row["architecture"] == name) for name in ARCHITECTURES),
        ("all", bool),
    ]  # fmt: skip
    for name, belongs in groups:
        chosen = [row for row in rows if belongs(row)]
        if chosen:
            folds, alone = ([row[key] for row in chosen] for key in ("folds", "held_out"))
            yield f"{name:24}{alarms(folds):>46}{alarms(alone):>46}"


def table(done: dict[str, list[Row]]) -> Iterator[str]:
    rows = done["unrelated"]
    yield f"{'PCA, unrelated':24}{alarms([row['blocked']['p'] for row in rows]):>46}"
    yield ""
    yield from trained_lines(done["trained"])
    yield ""
    for name in ("pca", "encoder"):
        values = [row[name]["p"] for row in done["leaky"]]
        yield f"random split, shuffles: {name:10}{alarms(values):>36}"
    yield ""
    for name in ("raw", "pca", "refitted", "folds"):
        yield f"{'power, ' + name:24}{alarms([row[name] for row in done['power']]):>46}"
    yield ""
    for name in ("plain", "holm"):
        values = [row[name] for row in done["family"]]
        yield f"{'any of five, ' + name:24}{alarms(values):>46}"
    yield ""
    yield f"{'noise, bits':22}{'training':>12}{'held out':>12}{'its error':>12}{'n':>6}"
    for mode in NOISE_MODES:
        chosen = [row for row in done["noise"] if row["kind"] == mode]
        if chosen:
            means = [np.mean([row[key] for row in chosen]) for key in ("training", "bits", "error")]
            yield f"{mode:22}{''.join(f'{each:12.4f}' for each in means)}{len(chosen):6d}"


def read(path: Path) -> dict[str, list[Row]]:
    done: dict[str, list[Row]] = {section: [] for section in SECTIONS}
    if path.exists():
        done.update(json.loads(path.read_text()))
    return done


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="to work in this call")
    parser.add_argument("--only", choices=list(SECTIONS), nargs="+", default=list(SECTIONS))
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--of", type=int, default=1)
    parser.add_argument("--output", type=Path, default=HERE / "false_alarms.json")
    parser.add_argument("--also", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    done = read(options.output)
    began = time.monotonic()
    left = {}
    for section in options.only:
        numbers = range(options.part, SECTIONS[section], options.of)
        for number in numbers[len(done[section]) :]:
            if time.monotonic() - began > options.seconds:
                break
            done[section].append(MAKERS[section](number))
            options.output.write_text(json.dumps(done) + "\n")
        left[section] = len(numbers) - len(done[section])
    for path in options.also:
        for section, rows in read(path).items():
            done[section] = done[section] + rows
    print("\n".join(table(done)))
    print(f"\nleft to do: {left}" if any(left.values()) else "\ncomplete")


if __name__ == "__main__":
    main()
