"""Recovery of the true latent of made data, ours and plain cebra side by side.

The settings are those of CEBRA's public demo: offset1-model-mse, euclidean distance, delta_normal
0.1, 2 dimensions, batch 512, learning rate 1e-4, 5 000 steps, trained on the first 12 000 of
15 000 time steps. The score is R2 of a linear regression from the embedding to the true latent,
fitted on those 12 000 and scored on the other 3 000.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cebra
import numpy as np

import grevy
from grevy.decoding import linear_map_r2
from grevy.synthetic import Synthetic, generate

TRAINED = 12_000
SETTINGS: dict[str, Any] = {
    "model_architecture": "offset1-model-mse",
    "distance": "euclidean",
    "conditional": "delta_normal",
    "delta": 0.1,
    "output_dimension": 2,
    "batch_size": 512,
    "learning_rate": 1e-4,
    "device": "cpu",
}


def recovery(embedding: Any, made: Synthetic) -> float:
    steps = np.arange(len(made.x))
    return linear_map_r2(embedding, made.z, steps[:TRAINED], steps[TRAINED:])


def trained(library: str, made: Synthetic, seed: int, iterations: int) -> Any:
    label = made.u.astype(np.float32)[:TRAINED]
    if library == "grevy":
        model = grevy.CEBRA(**SETTINGS, max_iterations=iterations, seed=seed)
    else:
        model = cebra.CEBRA(**SETTINGS, max_iterations=iterations)
    return model.fit(made.x[:TRAINED], label).transform(made.x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iterations", type=int, default=5000)
    parser.add_argument("--data-seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    rows = []
    for data_seed in options.data_seeds:
        made = generate("poisson", data_seed)
        raw = recovery(made.x, made)
        print(f"data {data_seed}: linear map from the raw counts {raw:.4f}", flush=True)
        for seed in options.seeds:
            for library in ("grevy", "cebra"):
                began = time.perf_counter()
                score = recovery(trained(library, made, seed, options.iterations), made)
                seconds = time.perf_counter() - began
                rows.append({"library": library, "data": data_seed, "seed": seed, "r2": score})
                print(f"  {library} seed {seed}: {score:.4f} ({seconds:.0f} s)", flush=True)
    for library in ("grevy", "cebra"):
        scores = [row["r2"] for row in rows if row["library"] == library]
        print(f"{library}: mean {np.mean(scores):.4f}, sd {np.std(scores):.4f}, n {len(scores)}")
    if options.output:
        options.output.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
