"""Quality of embeddings, ours and plain cebra side by side, over several seeds.

Two tasks, each trained on the first part of a recording and scored on the rest:

- synthetic: made Poisson counts, settings of CEBRA's public demo (offset1-model-mse, euclidean
  distance, delta_normal 0.1, 2 dimensions, learning rate 1e-4, 5 000 steps). Score: R2 of a linear
  regression from the embedding to the true latent; 12 000 time steps train, 3 000 test.
- s1-reach: macaque S1 and the velocity of the hand, offset10-model, time_delta, 8 dimensions, 2 000
  steps. Score: R2 of the velocity by `grevy.decode`; 10 000 time steps train, 2 480 test.

The p of each task comes from a permutation test of the difference of means, two-sided, over all
ways to share the scores among the two libraries.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cebra
import numpy as np
import scipy.io
import scipy.stats

import grevy
from grevy.data import Split, generate
from grevy.evaluation import linear_map_r2

HERE = Path(__file__).parent
DATA = Path(os.environ.get("GREVY_TEST_DATA", HERE.parents[1] / "shared" / "data"))
COMMON: dict[str, Any] = {"batch_size": 512, "device": "cpu"}


@dataclass(frozen=True)
class Task:
    """A recording, what is trained on its first steps, and how the rest is scored."""

    name: str
    neural: Any
    label: Any
    trained: int
    settings: dict[str, Any]
    score: Callable[[Any], float]


def synthetic_task(data_seed: int, iterations: int | None) -> Task:
    made = generate("poisson", data_seed)
    steps, trained = np.arange(len(made.x)), 12_000
    settings = {
        "model_architecture": "offset1-model-mse",
        "distance": "euclidean",
        "conditional": "delta_normal",
        "delta": 0.1,
        "output_dimension": 2,
        "learning_rate": 1e-4,
        "max_iterations": iterations or 5000,
    }

    def score(embedding: Any) -> float:
        return linear_map_r2(embedding, made.z, steps[:trained], steps[trained:])

    label = made.u.astype(np.float32)
    return Task(f"synthetic {data_seed}", made.x, label, trained, settings, score)


def reaching_task(iterations: int | None) -> Task:
    data = scipy.io.loadmat(DATA / "s1-reach" / "s1_data.mat")
    trained, gap, stop = 10_000, 20, 12_500
    velocity = data["vel"][:stop].astype(np.float32)
    split = Split(np.arange(trained), np.arange(trained + gap, stop))
    settings = {
        "model_architecture": "offset10-model",
        "time_offsets": 10,
        "output_dimension": 8,
        "learning_rate": 3e-4,
        "max_iterations": iterations or 2000,
    }

    def score(embedding: Any) -> float:
        return grevy.decode(embedding, velocity, split, gap=gap, n_bootstrap=0).statistic

    neural = data["spikes"][:stop].astype(np.float32)
    return Task("s1-reach", neural, velocity, trained, settings, score)


def embedded(library: str, task: Task, seed: int) -> Any:
    settings = {**COMMON, **task.settings}
    model = grevy.CEBRA(**settings, seed=seed) if library == "grevy" else cebra.CEBRA(**settings)
    return model.fit(task.neural[: task.trained], task.label[: task.trained]).transform(task.neural)


def scored(task: Task, seeds: list[int]) -> Iterator[dict[str, Any]]:
    for seed in seeds:
        for library in ("grevy", "cebra"):
            began = time.perf_counter()
            score = task.score(embedded(library, task, seed))
            seconds = time.perf_counter() - began
            print(f"  {library} seed {seed}: {score:.4f} ({seconds:.0f} s)", flush=True)
            yield {"task": task.name, "library": library, "seed": seed, "r2": score}


def summary(task: Task, rows: list[dict[str, Any]]) -> str:
    ours, theirs = (
        [row["r2"] for row in rows if row["library"] == library] for library in ("grevy", "cebra")
    )
    p = scipy.stats.permutation_test(
        (ours, theirs), lambda a, b, axis: a.mean(axis) - b.mean(axis), vectorized=True
    ).pvalue
    return (
        f"{task.name}: grevy {np.mean(ours):.4f} (sd {np.std(ours, ddof=1):.4f}), cebra "
        f"{np.mean(theirs):.4f} (sd {np.std(theirs, ddof=1):.4f}), p = {p:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["synthetic", "s1-reach"])
    parser.add_argument("--iterations", type=int, help="instead of each task's own")
    parser.add_argument("--data-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    tasks = [reaching_task(options.iterations)] if "s1-reach" in options.tasks else []
    if "synthetic" in options.tasks:
        tasks += [synthetic_task(seed, options.iterations) for seed in options.data_seeds]
    rows = []
    for task in tasks:
        print(f"{task.name}: from the raw counts {task.score(task.neural):.4f}", flush=True)
        own = list(scored(task, options.seeds))
        print(summary(task, own), flush=True)
        rows += own
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
