"""Does the verdict beside components say what is true? Simulated recordings of two sorts.

linear      neurons without memory that follow a slow latent on a straight line, with noise at every
            step; the label is half that latent and half something as slow that no neuron knows. A
            window averages the noise away, for components as well as for an encoder: no encoder can
            do better, and one that learns the unknown half by heart does worse.
linear_time the same, with encoders trained on time alone: there is no label to learn by heart.
curved      place cells in an open field, with narrow fields and few spikes; the label is the
            place, of two dimensions. As many components of the window as the embedding has
            dimensions cannot flatten so curved a sheet: the embedding should be better.

Each encoder is trained by the settings of `grevy run` on the training blocks and scored on the
held-out ones; the verdict rests on the paired 95 % interval of embedding minus components (see
`grevy.report.verdict`). Beside it stands what components of one step alone would have made of it.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

import grevy
from grevy.config import RunConfig
from grevy.data import (
    Recording,
    blocked_split,
    continuous,
    make_recording,
    restricted,
)
from grevy.evaluation import evaluate

Floats = npt.NDArray[np.float64]

GAP = 12
SETTINGS = (
    "temperature", "learning_rate", "batch_size", "num_hidden_units", "distance", "max_iterations",
)  # fmt: skip


def slow(rng: np.random.Generator, length: int, tau: float, columns: int) -> Floats:
    """Make Ornstein-Uhlenbeck processes of unit variance, (length, columns)."""
    keep = np.exp(-1 / tau)
    drive = np.sqrt(1 - keep**2) * rng.normal(size=(length, columns))
    drive[0] = rng.normal(size=columns)
    return np.asarray(lfilter([1.0], [1.0, -keep], drive, axis=0))


def linear(rng: np.random.Generator) -> tuple[Recording, int]:
    length, tau = 3000, rng.uniform(80, 160)
    latent, unknown = slow(rng, length, tau, 1), slow(rng, length, tau, 1)
    noise = rng.normal(0, rng.uniform(1.5, 3), size=(length, 20))
    label = np.sqrt(0.5) * latent + np.sqrt(0.5) * unknown
    neural = latent @ rng.normal(size=(1, 20)) + noise
    return make_recording(neural, [continuous(label, "label")]), 3


def curved(rng: np.random.Generator) -> tuple[Recording, int]:
    walk = np.cumsum(0.03 * slow(rng, 10_000, rng.uniform(5, 15), 2), axis=0)
    place = np.abs(np.mod(walk, 2) - 1)  # walls reflect
    centres, width, peak = rng.uniform(0, 1, (60, 2)), rng.uniform(0.07, 0.12), rng.uniform(1, 2)
    distance = np.linalg.norm(place[:, None] - centres, axis=2)
    spikes = rng.poisson(peak * np.exp(-0.5 * (distance / width) ** 2))
    return make_recording(spikes, [continuous(place, "place")]), 3


MAKERS: dict[str, Callable[[np.random.Generator], tuple[Recording, int]]] = {
    "linear": linear,
    "linear_time": linear,
    "curved": curved,
}


def said(gain: dict[str, Any]) -> str:
    low, high = gain["interval"]
    return "better" if low > 0 else "worse" if high < 0 else "no different"


def judged(sort: str, seed: int) -> dict[str, Any]:
    recording, dimension = MAKERS[sort](np.random.default_rng([5, seed]))
    split = blocked_split(recording.segments, 0.2, GAP)
    seen = restricted([recording], split.train)[0]
    own = {name: RunConfig.model_fields[name].default for name in SETTINGS}
    conditional, offset = ("time", 10) if sort == "linear_time" else ("time_delta", 2)
    model = grevy.CEBRA(
        "offset10-model", output_dimension=dimension, conditional=conditional, time_offsets=offset,
        device="cpu", seed=seed, **own,
    ).fit(seen)  # fmt: skip
    scores = evaluate(
        model.transform(recording), recording, split, recording.neural, window=(5, 5), nulls=0,
        seed=seed, gap=GAP, metric="cosine",
    ).metrics["scores"]  # fmt: skip
    (of_label,) = scores.values()
    blocked = of_label["blocked"]
    gain, one_step = blocked["pca"]["gain"], blocked["pca_one_step"]["gain"]
    return {"said": said(gain), **gain, "one_step_said": said(one_step), "one_step": one_step}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(MAKERS), nargs="+", default=list(MAKERS))
    parser.add_argument("--number", type=int, default=100)
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    done: dict[str, list[dict[str, Any]]] = {}
    for sort in options.only:
        done[sort] = []
        for seed in range(options.number):
            done[sort].append(judged(sort, seed))
            if options.output:
                options.output.write_text(json.dumps(done, indent=1) + "\n")
        for key, what in (("said", "the same window"), ("one_step_said", "one step")):
            counts = dict(Counter(row[key] for row in done[sort]))
            print(f"{sort}, beside components of {what}: {counts}", flush=True)
        print(f"{sort}: median gain {np.median([row['value'] for row in done[sort]]):.3f}")


if __name__ == "__main__":
    main()
