"""Which settings make an embedding worth having? Studied inside the training, judged outside it.

study       on each recording and for each of some settings, an encoder trained on four fifths of
            what a run trains on and scored on the other fifth, in blocks: what `grevy run` holds
            out takes no part in the choice
final       with the defaults of `grevy run` and D = 8, seeds 0 to 4: the score on what a run holds
            out, beside principal components and raw activity of the same window

Needs the recordings of docs/recordings.md, as .npz files, in the folder given.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grevy.config import RunConfig, make_config
from grevy.data import (
    Recording,
    Split,
    blocked_split,
    read_recording,
    restricted,
    training_segments,
)
from grevy.evaluation import evaluate, prepare
from grevy.model import model_receptive_field
from grevy.runs import make_model, settle_offsets

RECORDINGS: dict[str, tuple[str, str | None]] = {
    "s1-velocity": ("vel", None),
    "s1-direction": ("direction:circular", "stretch"),
    "place-cells-1": ("position", None),
    "place-cells-2": ("position", None),
}
D = 8
# As they were before the study.
BEFORE = {
    "temperature": 1.0,
    "learning_rate": 3e-4,
    "max_iterations": 5000,
    "time_offsets": 10,
}
FAST = {**BEFORE, "learning_rate": 1e-3, "max_iterations": 2000}
COLD = {**FAST, "temperature": 0.3}
CANDIDATES: tuple[dict[str, Any], ...] = (
    BEFORE,
    {**BEFORE, "max_iterations": 2000},
    FAST,
    {**FAST, "learning_rate": 3e-3},
    {**FAST, "temperature": 0.3},
    {**FAST, "temperature": 0.1},
    {**FAST, "temperature_mode": "auto", "min_temperature": 0.1},
    {**FAST, "num_hidden_units": 64},
    {**FAST, "batch_size": 1024},
    {**FAST, "distance": "euclidean", "model_architecture": "offset10-model-mse"},
    {**FAST, "hybrid": True},
    {**FAST, "num_negatives": 2048},
    {**FAST, "time_offsets": 30},
    {**FAST, "time_offsets": 2},
    {**COLD, "time_offsets": 5},
    {**COLD, "time_offsets": 3},
    {**COLD, "time_offsets": 2},
    {**COLD, "time_offsets": 1},
    {**COLD, "time_offsets": 2, "temperature": 0.5},
    {**COLD, "time_offsets": 2, "temperature": 0.2},
    {**COLD, "time_offsets": 2, "max_iterations": 1000},
    {**COLD, "time_offsets": 2, "num_hidden_units": 64, "max_iterations": 1000},
)


def load(folder: Path, name: str) -> Recording:
    label, segments = RECORDINGS[name]
    return read_recording(
        folder / f"{name}.npz", neural="spikes", labels=(label,), segments=segments
    )


def configured(recording: Recording, **settings: Any) -> RunConfig:
    config = make_config({"dataset": "arrays", "output_dimension": D, "device": "cpu", **settings})
    return settle_offsets(config, [recording])


def embedded(recording: Recording, config: RunConfig, split: Split, seed: int) -> Any:
    model = make_model(config, verbose=False).set_params(seed=seed)
    return model.fit(restricted([recording], split.train)[0]).transform(recording)


def held_out(recording: Recording, config: RunConfig) -> tuple[Split, int]:
    """Hold out what a run does; return the gap too."""
    model = make_model(config, verbose=False)
    gap = sum(model_receptive_field(model.parameters)) + max(model.parameters.time_offsets)
    return blocked_split(recording.segments, 0.2, gap), gap


def studied(recording: Recording, settings: dict[str, Any], seed: int) -> float:
    """Score one setting inside the training of a run; larger is better."""
    config = configured(recording, **settings)
    outer, gap = held_out(recording, config)
    inner = blocked_split(training_segments(recording.segments, outer.train), 0.2, gap)
    embedding = embedded(recording, config, inner, seed)
    ready = prepare(
        embedding, inner, segments=recording.segments, gap=gap, metric=config.distance, seed=seed
    )
    return ready.statistic(recording.labels[0])


def final(recording: Recording, seeds: range) -> Iterator[dict[str, Any]]:
    """Score the defaults on what a run holds out, beside the baselines of the window."""
    config = configured(recording)
    split, gap = held_out(recording, config)
    window = model_receptive_field(make_model(config, verbose=False).parameters)
    for seed in seeds:
        scores = evaluate(
            embedded(recording, config, split, seed), recording, split, recording.neural,
            window=window, nulls=0, seed=seed, gap=gap, metric=config.distance,
        ).metrics["scores"][recording.labels[0].name]["blocked"]  # fmt: skip
        key = scores["pca"]["gain"]["score"]
        yield {
            "seed": seed,
            "embedding": scores["embedding"][key],
            **{
                f"{name} {way}": of_way[key]
                for name in ("pca", "raw")
                for way, of_way in scores[name]["by_window"].items()
            },
            "gain on pca": scores["pca"]["gain"],
            "gain on raw": scores["raw"]["gain"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["study", "final"])
    parser.add_argument("folder", type=Path, help="of the .npz files")
    parser.add_argument("--only", choices=list(RECORDINGS), nargs="+", default=list(RECORDINGS))
    parser.add_argument("--seeds", type=int, help="1 for the study, else 5")
    parser.add_argument("--output", type=Path, help="JSON lines to add to")
    options = parser.parse_args()
    recordings = {name: load(options.folder, name) for name in options.only}
    seeds = range(options.seeds or (1 if options.what == "study" else 5))
    rows: Iterator[dict[str, Any]]
    if options.what == "study":
        rows = (
            {
                "recording": name,
                "settings": settings,
                "seed": seed,
                "score": studied(recording, settings, seed),
            }
            for settings, (name, recording), seed in itertools.product(
                CANDIDATES, recordings.items(), seeds
            )
        )
    else:
        rows = (
            {"recording": name, **row}
            for name, recording in recordings.items()
            for row in final(recording, seeds)
        )
    for row in rows:
        print(json.dumps(row), flush=True)
        if options.output:
            with options.output.open("a") as file:
                file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
