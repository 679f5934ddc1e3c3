"""Several recordings on one time axis."""

import numpy as np
import pytest

from grevy.data.joining import align_labels, end_to_end
from grevy.data.labels import circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.errors import GrevyError

LINE = np.random.default_rng(0).normal(size=(12, 2))


def labelled(length, *labels):
    return make_recording(np.ones((length, 2)), labels)


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ((continuous(LINE),), (), ["continuous of 2", "none"]),
        ((continuous(LINE),), (continuous(LINE[:, 0]),), ["of 2 dim", "of 1 dim"]),
        ((continuous(LINE[:, 0]),), (circular(LINE[:, 0]),), ["continuous", "circular"]),
        ((discrete(np.arange(12) % 2),), (discrete(["1", "0"] * 6),), ["discrete", "as text"]),
    ],
)
def test_recordings_must_share_their_labels(one, other, words):
    with pytest.raises(GrevyError, match="recording 1 and recording 2 have") as caught:
        align_labels([labelled(12, *one), labelled(12, *other)])
    for word in words:
        assert word in str(caught.value)


def test_where_recordings_start():
    assert end_to_end([3, 4, 5]).tolist() == [0, 3, 7, 12]
    assert end_to_end(map(len, ["abc"])).tolist() == [0, 3]
    assert end_to_end([]).tolist() == [0]
