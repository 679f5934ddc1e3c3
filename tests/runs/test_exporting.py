"""`grevy export`: a saved model or a finished run as ONNX."""

import numpy as np
import pytest
from typer.testing import CliRunner

from grevy import archive
from grevy.cli.commands import app
from grevy.errors import GrevyError
from grevy.model import CEBRA
from grevy.runs import export_onnx

onnxruntime = pytest.importorskip("onnxruntime")

RNG = np.random.default_rng(0)
X, X2 = (RNG.normal(size=shape).astype(np.float32) for shape in ((90, 5), (80, 4)))
KLASS = RNG.integers(0, 2, 90)
SMALL = {
    "model_architecture": "offset5-model", "max_iterations": 2, "batch_size": 8,
    "num_hidden_units": 8, "output_dimension": 3, "device": "cpu", "seed": 0,
}  # fmt: skip


def embedded(path, neural):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"neural": neural})[0]


def test_a_file_and_a_run_folder_are_the_same(tmp_path):
    model = CEBRA(causal=True, **SMALL).fit(X, KLASS)
    folder = tmp_path / "run"
    (folder / "models").mkdir(parents=True)
    model.save(folder / archive.MODEL)
    for target in (folder, folder / archive.MODEL):
        done = CliRunner().invoke(app, ["export", str(target), "--onnx", str(tmp_path / "a.onnx")])
        assert done.exit_code == 0, done.output
        assert done.output == f"{tmp_path / 'a.onnx'}\n"
        found = embedded(tmp_path / "a.onnx", X)
        np.testing.assert_allclose(found, model.transform(X)[4:], atol=1e-5)
        (tmp_path / "a.onnx").unlink()


def test_of_several_encoders_one_is_chosen(tmp_path):
    model = CEBRA(**SMALL).fit([X, X2], [KLASS, KLASS[:80]])
    model.save(tmp_path / "model.pt")
    export_onnx(tmp_path / "model.pt", tmp_path / "a.onnx", session=1)
    expected = model.transform(X2, session_id=1)[2:-2]
    np.testing.assert_allclose(embedded(tmp_path / "a.onnx", X2), expected, atol=1e-5)
    with pytest.raises(GrevyError, match="Choose with `session`"):
        export_onnx(tmp_path / "model.pt", tmp_path / "a.onnx")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model.pt"], "nothing to write. Say what: --nwb FILE, --csv FILE or --onnx FILE."),
        (["model.pt", "--onnx", "a.pt"], "--onnx a.pt: expected the name of a .onnx file."),
        (["nothing.pt", "--onnx", "a.onnx"], "nothing.pt does not exist"),
        (["empty", "--onnx", "a.onnx"], "cebra_model.pt does not exist"),
        (["model.pt", "--onnx", "a.onnx", "--session", "1"], "trained on one recording"),
    ],
)
def test_mistakes(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    CEBRA(**SMALL).fit(X, KLASS).save("model.pt")
    done = CliRunner().invoke(app, ["export", *arguments])
    assert done.exit_code == 2
    assert words in done.stderr
    assert not list(tmp_path.glob("*.onnx"))
