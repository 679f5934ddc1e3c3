"""The contents of a model file: what is ours stays apart, and all of it comes back."""

import cebra
import numpy as np
import pytest

from grevy import CEBRA
from grevy.model.files import pack, unpack

X = np.random.default_rng(0).normal(size=(40, 3))
LINE = X[:, :1]


def fitted(**changes):
    options = {"max_iterations": 2, "batch_size": 8, "device": "cpu", "seed": 1, **changes}
    return CEBRA(**options).fit(X, LINE)


def test_what_is_ours_stays_apart_and_comes_back():
    model = fitted(num_negatives=5)
    contents = pack(model.get_params(), model.fitted)
    theirs = cebra.CEBRA._get_state_dict(model)
    assert set(contents) == {*theirs, "grevy"}
    for part in ("state", "metadata"):
        assert set(contents[part]) == set(theirs[part])
    assert set(contents["args"]) == set(cebra.CEBRA().get_params())
    saved = unpack(contents, None)
    assert saved.parameters == model.get_params()
    assert (saved.fitted.seed, saved.fitted.n_steps) == (1, 2)
    assert saved.fitted.chance == pytest.approx(np.log(5))


@pytest.mark.parametrize("offsets", [np.array([1, 2]), [1, 2], (1, 2), 3])
def test_time_offsets_of_any_spelling_are_saved(offsets, tmp_path):
    model = fitted(time_offsets=offsets)
    model.save(tmp_path / "model.pt")
    for either in (CEBRA, cebra.CEBRA):
        loaded = either.load(tmp_path / "model.pt")
        np.testing.assert_array_equal(loaded.time_offsets, offsets)
        np.testing.assert_allclose(loaded.transform(X), model.transform(X), atol=1e-6)
