"""Encoders as ONNX graphs: what onnxruntime computes is what we compute."""

import sys

import cebra.models
import numpy as np
import pytest
from cebra.models.model import _OffsetModel
from torch import nn

from grevy.atomic import WriteError
from grevy.data import seeded
from grevy.errors import GrevyError, SessionError, UnsupportedError
from grevy.model import CEBRA, usable_models, write_onnx
from grevy.version import __version__

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
NEURONS = 7
X = RNG.normal(size=(120, NEURONS)).astype(np.float32)
SMALL = {
    "max_iterations": 2, "batch_size": 8, "num_hidden_units": 8, "device": "cpu", "seed": 0,
    "output_dimension": 3, "pad_before_transform": False, "learning_rate": 0.01,
}  # fmt: skip
# Of the families that differ by a number in their name alone, a few members.
NAMES = [
    name
    for name in usable_models()
    if not any(family in name for family in ("-clip-", "-v2-", "-resnet-"))
    or name.endswith(("-1-1", "-10-5", "-1layers", "-10layers", "-2layers-tanh"))
]
WINDOWED = ["offset4-model-2x-subsample", "resample1-model"]


def fitted(name="offset10-model", data=X, **options):
    return CEBRA(name, **{**SMALL, **options}).fit(data)


def opened(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def ran(session, neural):
    (embedding,) = session.run(["embedding"], {"neural": np.asarray(neural, np.float32)})
    return embedding


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in WINDOWED])
def test_every_architecture_gives_what_transform_gives(name, tmp_path):
    model = fitted(name)
    if "-v2-" in name:  # whose output otherwise hardly depends on their input
        for parameter in model.model_.parameters():
            parameter.data *= 3
    write_onnx(model, tmp_path / "encoder.onnx")
    session = opened(tmp_path / "encoder.onnx")
    width = sum(model.fitted.receptive_field)
    for length in (width, width + 1, width + 7, 97):
        neural = 3 * RNG.normal(size=(length, NEURONS)).astype(np.float32)
        found, expected = ran(session, neural), model.transform(neural)
        assert found.dtype == np.float32
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(ran(session, X), axis=0).max() > 1e-2


def test_the_file_says_what_it_is(tmp_path):
    for causal, field in ((True, "9 1"), (False, "5 5")):
        write_onnx(fitted(causal=causal), tmp_path / "encoder.onnx")
        session = opened(tmp_path / "encoder.onnx")
        notes = session.get_modelmeta().custom_metadata_map
        assert notes == {
            "receptive_field": field, "subsampling": "1",
            "model_architecture": "offset10-model", "grevy_version": __version__,
        }  # fmt: skip
    assert session.get_inputs()[0].shape == ["time", NEURONS]
    assert session.get_outputs()[0].shape == ["rows", 3]
    write_onnx(fitted("offset20-model-4x-subsample"), tmp_path / "encoder.onnx")
    notes = opened(tmp_path / "encoder.onnx").get_modelmeta().custom_metadata_map
    assert notes["subsampling"] == "4"


def test_the_same_model_gives_the_same_bytes(tmp_path):
    model = fitted()
    for name in "ab":
        write_onnx(model, tmp_path / f"{name}.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_several_recordings_have_each_their_encoder(tmp_path):
    other, klass = RNG.normal(size=(100, 4)).astype(np.float32), RNG.integers(0, 2, 120)
    model = CEBRA("offset5-model", **SMALL).fit([X, other], [klass, klass[:100]])
    for number, recording in enumerate((X, other)):
        write_onnx(model, tmp_path / "encoder.onnx", session_id=number)
        np.testing.assert_allclose(
            ran(opened(tmp_path / "encoder.onnx"), recording),
            model.transform(recording, session_id=number),
            atol=1e-5,
        )
    with pytest.raises(SessionError, match="export"):
        write_onnx(model, tmp_path / "encoder.onnx")


class Odd(_OffsetModel, cebra.models.ConvolutionalModelMixin):
    """A model of one convolution and something else."""

    def __init__(self, more, neurons):
        super().__init__(
            nn.Conv1d(neurons, 3, 2, dilation=2, bias=False), more, num_input=neurons, num_output=3
        )

    def get_offset(self):
        return cebra.data.Offset(1, 2)


def exported_odd(more, path):
    model = fitted()
    with seeded(0):
        odd = Odd(more, NEURONS).eval()
    model.model_ = model.solver_.model = odd
    model.offset_ = odd.get_offset()
    write_onnx(model, path)
    return model


def test_a_model_of_ones_own_of_the_same_layers(tmp_path):
    model = exported_odd(nn.Dropout(0.5), tmp_path / "encoder.onnx")
    found = ran(opened(tmp_path / "encoder.onnx"), X)
    np.testing.assert_allclose(found, model.transform(X), atol=1e-5)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (nn.ReLU(), "a layer ReLU"),
        (nn.GELU("tanh"), "a layer GELU"),
        (nn.Conv1d(3, 3, 3, padding=1), "a layer Conv1d"),
        (nn.Flatten(), "one window at a time"),
    ],
)
def test_other_layers_are_named(more, words, tmp_path):
    with pytest.raises(UnsupportedError, match=words):
        exported_odd(more, tmp_path / "encoder.onnx")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_says_so(tmp_path, monkeypatch):
    path = tmp_path / "encoder.onnx"
    with pytest.raises(UnsupportedError, match="one window at a time"):
        write_onnx(fitted(WINDOWED[0]), path)
    with pytest.raises(GrevyError, match="not fitted"):
        write_onnx(CEBRA(), path)
    model = fitted()
    model.model_.register_forward_hook(lambda *_: None)
    with pytest.raises(UnsupportedError, match="hooks"):
        write_onnx(model, path)
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        write_onnx(fitted(), tmp_path / "file" / "encoder.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(GrevyError, match=r"pip install 'grevy\[onnx\]'"):
        write_onnx(fitted(), path)
    assert not path.exists()
