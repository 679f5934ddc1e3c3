"""Beside the steps of a training: what a resumed one may change, and how labels are described."""

import numpy as np
import pytest

from grevy import CEBRA, Checkpoints, GrevyError
from grevy.data.labels import continuous, discrete
from grevy.data.recording import make_recording
from grevy.model.checkpoints import Saver
from grevy.model.fitted import label_types

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3)).astype(np.float32)
LINE = continuous(RNG.normal(size=(40, 2)), "line")
KLASS = discrete(RNG.integers(0, 3, 40), "class")


def recording(*labels):
    return make_recording(X, labels)


def test_label_types_are_as_cebra_describes_them():
    one = np.zeros((40, 2), np.float32)
    two = np.zeros(40, np.int32)
    assert label_types([recording(LINE, KLASS)], (one, two), False) == [
        (np.dtype("float32"), (40, 2)),
        (np.dtype("int32"), (40,)),
    ]
    pair = [recording(LINE), recording(LINE)]
    assert label_types(pair, ([one, one],), True) == [[(np.dtype("float32"), (40, 2))] * 2]
    assert label_types([recording(KLASS)], (), False) == [(np.dtype("int64"), (40,))]
    assert label_types([recording(LINE)], (np.array(["a"] * 40),), False)[0][0] == np.int64


@pytest.mark.parametrize("offsets", [np.array([1, 2]), [1, 2]])
def test_time_offsets_may_be_spelt_in_another_way(tmp_path, offsets):
    options = {"max_iterations": 2, "batch_size": 8, "device": "cpu", "seed": 1}
    kept = Checkpoints(tmp_path)
    model = CEBRA(time_offsets=(1, 2), **options).fit(X, LINE, checkpoints=kept)
    again = CEBRA(time_offsets=offsets, **options)
    found = Saver(kept, model.data_checksum_, resume=True).newest(again.parameters)
    assert found.fitted.n_steps == 2
    with pytest.raises(GrevyError, match="differs in time_offsets"):
        again.set_params(time_offsets=3).fit(X, LINE, checkpoints=kept, resume=True)
