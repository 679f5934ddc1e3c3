"""Trains a little with Grevy as it is installed; prints where it lies and which loops it uses."""

from pathlib import Path

import numpy as np

import grevy
from grevy.engine import instructions

rng = np.random.default_rng(0)
model = grevy.CEBRA(batch_size=32, max_iterations=20, output_dimension=2, device="cpu", seed=0)
embedding = model.fit(rng.normal(size=(300, 9))).transform(rng.normal(size=(300, 9)))
assert embedding.shape == (300, 2)
assert np.isfinite(embedding).all()
print(Path(grevy.__file__).parent, instructions())
