"""Try the whole chain in under a minute, offline: made data to a verified run folder."""

import sys
import tempfile
from pathlib import Path

import cebra
import numpy as np

from grevy import archive
from grevy.config import make_config
from grevy.runs import run_experiment


def check(condition: bool, what: str) -> None:
    """Say what holds; stop with exit code 1 at the first thing that does not."""
    print(f"{'ok' if condition else 'FAILED'}: {what}")
    if not condition:
        raise SystemExit(1)


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        config = make_config(
            {
                "dataset": "continuous-label-poisson",
                "offline": True,
                "model_architecture": "offset1-model-mse",
                "distance": "euclidean",
                "conditional": "delta_normal",
                "delta": 0.1,
                "output_dimension": 2,
                "learning_rate": 1e-3,
                "max_iterations": 500,
                "device": "cpu",
                "seed": 0,
                "output_dir": str(Path(temporary) / "run"),
            }
        )
        run = run_experiment(config)
        check(run.folder.finished, "the run has a manifest")
        check(archive.verify(run.folder) == [], "every file is as the manifest says")
        embedding = np.load(run.folder / archive.EMBEDDING)
        check(embedding.shape == (15000, 2), f"the embedding has shape {embedding.shape}")
        plain = cebra.CEBRA.load(run.folder / archive.MODEL)
        check(plain.num_sessions_ is None, "plain cebra opens the model")
        fit = run.metrics["goodness_of_fit_bits"]
        check(fit > 1, f"the embedding fits the label: {fit:.2f} bits, chance is 0")
        recovered = run.metrics["latent_r2"]
        check(recovered > 0.8, f"it holds the true latent: linear R2 {recovered:.3f}")
    print("all is well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
