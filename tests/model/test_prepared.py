"""A model keeps how its data were prepared, and does the same to whatever it is given later."""

import logging
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from grevy.data import circular, continuous, make_recording, prepare, to_plain
from grevy.errors import GrevyError, UnsupportedError
from grevy.model import CEBRA, Stream, fit_replicates, heldout_goodness_of_fit, write_onnx
from grevy.model.files import read_checkpoint, write_checkpoint

EVERYTHING = {
    "rates": True, "min_rate": 45.0, "square_root": True, "smoothing": "0.03s", "zscore": True,
    "scale_labels": True,
}  # fmt: skip


def recorded(seed=0, neurons=9, length=400):
    rng = np.random.default_rng(seed)
    place = np.cumsum(rng.normal(size=(length, 2)), axis=0) / 5
    rates = np.exp(np.clip(place @ rng.normal(size=(2, neurons)) / 2, -2, 2)) * 0.7
    labels = [continuous(place, "place"), circular(place[:, 0], name="turn")]
    segments = [[0, 150], [160, length]]
    return make_recording(rng.poisson(rates), labels, segments=segments, sampling_rate=50.0)


def model(**parameters):
    usual = {
        "model_architecture": "offset10-model", "max_iterations": 5, "batch_size": 32,
        "output_dimension": 3, "device": "cpu", "seed": 1,
    }  # fmt: skip
    return CEBRA(**{**usual, **parameters})


def same(first, second):
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first[:150]).all()


def test_raw_data_are_prepared_as_the_training_data_were(tmp_path):
    raw = recorded()
    prepared = prepare(raw, np.arange(300), **EVERYTHING)
    assert len(prepared.preparation.left_out)
    fitted = model().fit(prepared)
    expected = fitted.transform(prepared)
    fitted.save(tmp_path / "model.pt")
    loaded = CEBRA.load(tmp_path / "model.pt")
    for each in (fitted, loaded, pickle.loads(pickle.dumps(fitted))):
        assert each.preparations_[0].same_as(prepared.preparation)
        same(each.transform(prepared), expected)
        same(each.transform(raw), expected)
        same(each.transform(raw.neural, segments=raw.segments), expected)
    unprepared = model().fit(raw)
    assert unprepared.preparations_ is None
    assert unprepared.transform(raw).shape == expected.shape


def test_what_does_not_fit_is_refused():
    raw = recorded()
    prepared = prepare(raw, zscore=True)
    with pytest.raises(GrevyError, match="trained on data as they were recorded"):
        model().fit(raw).transform(prepared)
    fitted = model().fit(prepared)
    with pytest.raises(GrevyError, match="prepared already, in another way"):
        fitted.transform(prepare(raw, square_root=True))
    with pytest.raises(GrevyError, match="has 4 neurons; what prepares it was fitted to 9"):
        fitted.transform(raw.neural[:, :4])
    with pytest.raises(GrevyError, match="recording 1 is as it was recorded, others are prepared"):
        model().fit([prepared, recorded(1)])
    with pytest.raises(GrevyError, match="trained on data prepared, these are not"):
        fitted.fit(recorded(1, neurons=4), adapt=True)
    adapted = fitted.fit(prepare(recorded(1, neurons=4), zscore=True), adapt=True)
    assert adapted.preparations_[0].n_neurons == 4


def test_several_recordings_each_have_their_own():
    raw = [recorded(0), recorded(1, neurons=5)]
    prepared = [prepare(each, zscore=True) for each in raw]
    fitted = model().fit(prepared)
    for number in (0, 1):
        expected = fitted.transform(prepared[number], session_id=number)
        same(fitted.transform(raw[number], session_id=number), expected)
        same(fitted.transform(raw[number].neural, session_id=number)[20:100], expected[20:100])


def test_training_goes_on_with_raw_data_as_with_prepared():
    raw = recorded()
    prepared = prepare(raw, **EVERYTHING)
    first, second = (model().fit(prepared).partial_fit(each) for each in (raw, prepared))
    same(first.transform(raw), second.transform(raw))
    assert second.preparations_[0].same_as(prepared.preparation)


def test_goodness_of_fit_is_that_of_prepared_data():
    raw = recorded()
    prepared = prepare(raw, **EVERYTHING)
    fitted = model().fit(prepared)
    assert heldout_goodness_of_fit(fitted, raw) == heldout_goodness_of_fit(fitted, prepared)


def test_replicates_keep_it_too():
    prepared = prepare(recorded(), zscore=True)
    (other,) = fit_replicates(model(), prepared, [7])
    same(other.transform(recorded()), model(seed=7).fit(prepared).transform(prepared))


@pytest.mark.parametrize("causal", [True, False])
def test_a_stream_prepares_samples_to_the_same_bits(causal):
    raw = recorded()
    prepared = prepare(raw, np.arange(300), **EVERYTHING, smoothing_kernel="causal")
    fitted = model(causal=causal).fit(prepared)
    bare = model(causal=causal).take_up(replace(fitted.fitted, preparations=None))
    expected = Stream(bare).push(prepared.neural[:150])
    embedding = fitted.transform(raw)
    for pieces in ([150], [1] * 150, [3, 40, 1, 106]):
        stream = Stream(fitted)
        starts = np.cumsum([0, *pieces])
        found = [
            stream.push(raw.neural[start : start + size])
            for start, size in zip(starts[:-1], pieces, strict=True)
        ]
        np.testing.assert_array_equal(np.concatenate(found), expected)
        rows = expected[stream.delay + 9 :]
        np.testing.assert_allclose(rows, embedding[9 : 150 - stream.delay], atol=1e-5)
        stream.reset()
        np.testing.assert_array_equal(stream.push(raw.neural[:1]), found[0][:1])
    with pytest.raises(GrevyError, match=r"expected \(9,\)"):
        Stream(fitted).push(prepared.neural[0])


def test_a_stream_has_no_future_for_a_centred_kernel():
    fitted = model(causal=True).fit(prepare(recorded(), smoothing=2))
    with pytest.raises(UnsupportedError, match="8 samples of the future"):
        Stream(fitted)


def test_a_model_file_with_a_broken_preparation_is_none(tmp_path):
    path = tmp_path / "model.pt"
    model().fit(prepare(recorded(), zscore=True)).save(path)
    contents = read_checkpoint(path, "cpu", trust=False)
    (own,) = contents["grevy"]["preparations"]
    fewer = {**own, "kept": [0, 1], "centre": [0.0, 0.0], "scale": [1.0, 1.0]}
    for broken in ([{}], [1], [own, own], [fewer], "no", 3):
        changed = {**contents, "grevy": {**contents["grevy"], "preparations": broken}}
        write_checkpoint(changed, path)
        with pytest.raises(GrevyError, match="is no CEBRA model"):
            CEBRA.load(path)


def test_plain_cebra_opens_the_file(tmp_path):
    import cebra

    prepared = prepare(recorded(), zscore=True)
    fitted = model().fit(prepared)
    fitted.save(tmp_path / "model.pt")
    plain = cebra.CEBRA.load(tmp_path / "model.pt")
    whole = make_recording(prepared.neural)
    ours = model().take_up(fitted.fitted)
    with torch.no_grad():
        found = plain.transform(whole.neural)
    assert ours.preparations_ is not None
    np.testing.assert_allclose(found[20:100], fitted.transform(prepared)[20:100], atol=1e-5)


def test_an_onnx_file_says_what_its_input_is(tmp_path, caplog):
    onnx = pytest.importorskip("onnx")
    prepared = prepare(recorded(), zscore=True)
    fitted = model().fit(prepared)
    with caplog.at_level(logging.WARNING):
        write_onnx(fitted, tmp_path / "model.onnx")
    assert "Its input is prepared data" in caplog.text
    notes = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    import json

    assert json.loads(notes["preparation"]) == to_plain(prepared.preparation)
