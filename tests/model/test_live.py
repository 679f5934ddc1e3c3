"""Samples embedded as they come: the rows of the whole recording, and nothing else."""

import tracemalloc

import cebra
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import grevy
from grevy.errors import GrevyError, SessionError, UnsupportedError
from grevy.model.estimator import CEBRA
from grevy.model.live import Stream

RNG = np.random.default_rng(0)
LENGTH, NEURONS = 90, 6
X = RNG.normal(size=(LENGTH, NEURONS)).astype(np.float32)
KLASS = RNG.integers(0, 3, LENGTH)
SMALL = {
    "max_iterations": 3, "batch_size": 16, "num_hidden_units": 8, "device": "cpu", "seed": 0,
    "output_dimension": 3,
}  # fmt: skip
ARCHITECTURES = [
    "offset1-model", "offset5-model", "offset10-model", "offset10-model-mse-tanh",
    "offset36-model", "offset36-model-dropout", "offset4-model-2x-subsample", "offset1-model-v2",
    "offset1-model-mse-clip-10-5",
]  # fmt: skip


def fitted(architecture="offset10-model", causal=True, **options):
    return CEBRA(architecture, causal=causal, **{**SMALL, **options}).fit(X, KLASS)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("causal", [False, True])
def test_each_sample_gives_the_row_of_the_whole(architecture, causal):
    model = fitted(architecture, causal)
    stream, offline = Stream(model), model.transform(X)
    assert stream.delay == (0 if causal else model.fitted.receptive_field[1] - 1)
    live = np.stack([stream.push(sample) for sample in X])
    assert live.dtype == np.float32
    np.testing.assert_allclose(
        live[stream.delay :], offline[: LENGTH - stream.delay], rtol=0, atol=1e-5
    )


def test_a_few_at_a_time_are_the_same_to_the_last_bit():
    model = fitted()
    one, few = Stream(model), Stream(model)
    alone = np.stack([one.push(sample) for sample in X])
    cuts = np.split(X, [1, 3, 20, 21, 80])
    np.testing.assert_array_equal(np.concatenate([few.push(part) for part in cuts]), alone)
    assert few.push(X[:1]).shape == (1, 3)


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int64, np.float64, np.float16])
def test_samples_of_any_number(dtype):
    model, counts = fitted(), RNG.poisson(2, (30, NEURONS)).astype(dtype)
    stream = Stream(model)
    live = np.stack([stream.push(list(sample)) for sample in counts])
    np.testing.assert_allclose(live, model.transform(counts), atol=1e-5)


def test_the_next_segment_starts_anew():
    model, cut = fitted(), 40
    stream = Stream(model)
    live = [stream.push(X[:cut])]
    stream.reset()
    live.append(stream.push(X[cut:]))
    offline = model.transform(X, segments=[[0, cut], [cut, LENGTH]])
    np.testing.assert_allclose(np.concatenate(live), offline, atol=1e-5)


BAD = {
    "too few": (X[0, :5], "shape (5,)"),
    "several, too many": (np.ones((2, 7)), "shape (2, 7)"),
    "none": (X[:0], "shape (0, 6)"),
    "a number": (1.0, "shape ()"),
    "three axes": (X[None, :2], "shape (1, 2, 6)"),
    "NaN": (np.where(np.arange(6) == 4, np.nan, X[:3]), "neuron 4"),
    "inf": (np.where(np.arange(6) == 2, np.inf, X[0]), "neuron 2"),
    "too large": (np.where(np.arange(6) == 1, 1e300, X[0].astype(float)), "neuron 1"),
    "text": (np.array(["a"] * 6), "dtype <U1"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("started", [False, True])
def test_a_bad_sample_changes_nothing(case, started):
    model, (sample, words) = fitted(), BAD[case]
    stream, sound = Stream(model), Stream(model)
    if started:
        stream.push(X[:20])
        sound.push(X[:20])
    with pytest.raises(GrevyError) as caught:
        stream.push(sample)
    assert words in str(caught.value)
    np.testing.assert_array_equal(stream.push(X[20:40]), sound.push(X[20:40]))


def test_several_recordings_have_each_their_stream():
    other = RNG.normal(size=(70, 4)).astype(np.float32)
    model = CEBRA("offset5-model", causal=True, **SMALL).fit([X, other], [KLASS, KLASS[:70]])
    for number, recording in enumerate((X, other)):
        live = Stream(model, session_id=number).push(recording)
        np.testing.assert_allclose(live, model.transform(recording, session_id=number), atol=1e-5)
    with pytest.raises(SessionError, match="Stream"):
        Stream(model)
    with pytest.raises(SessionError, match="Stream"):
        Stream(model, session_id=2)


def test_what_is_trained_later_changes_nothing():
    model = fitted(learning_rate=0.1)
    stream, before = Stream(model), model.transform(X)
    model.partial_fit(X, KLASS)
    assert not np.allclose(model.transform(X), before, atol=1e-3)
    np.testing.assert_allclose(stream.push(X), before, atol=1e-5)


def test_a_decoder_tells_the_label():
    model = fitted()
    decoder = KNeighborsClassifier(3).fit(model.transform(X), KLASS)
    stream = Stream(model, decoder=decoder)
    expected = decoder.predict(model.transform(X))
    embedding, label = stream.decode(X[0])
    assert embedding.shape == (3,)
    assert label == expected[0]
    embedding, labels = stream.decode(X[1:])
    assert embedding.shape == (LENGTH - 1, 3)
    np.testing.assert_array_equal(labels, expected[1:])
    with pytest.raises(GrevyError, match="no decoder"):
        Stream(model).decode(X[0])
    with pytest.raises(GrevyError, match="predict"):
        Stream(model, decoder=object())


def test_a_decoder_that_fails_changes_nothing():
    class Failing:
        def predict(self, X):
            raise RuntimeError("no")

    model = fitted()
    stream, sound = Stream(model, decoder=Failing()), Stream(model)
    with pytest.raises(RuntimeError):
        stream.decode(X[0])
    np.testing.assert_array_equal(stream.push(X[1:30]), sound.push(X[1:30]))


def test_what_cannot_stream_says_so():
    with pytest.raises(UnsupportedError, match="one row for several"):
        Stream(CEBRA("offset20-model-4x-subsample", causal=True, **SMALL).fit(X, KLASS))
    with pytest.raises(GrevyError, match="not fitted"):
        Stream(CEBRA())
    with pytest.raises(GrevyError, match=r"grevy\.CEBRA\.load"):
        Stream(cebra.CEBRA())


def test_a_saved_model_streams(tmp_path):
    model = fitted()
    model.save(tmp_path / "model.pt")
    stream = grevy.Stream(grevy.CEBRA.load(tmp_path / "model.pt"))
    np.testing.assert_allclose(stream.push(X), model.transform(X), atol=1e-5)


def test_memory_does_not_grow():
    stream = Stream(fitted())
    for sample in X:
        stream.push(sample)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(30):
            for sample in X:
                stream.push(sample)
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()
