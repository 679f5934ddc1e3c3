"""From settings to a recording and a model: each gets every setting that it knows, by name."""

import inspect

from grevy.config import RunConfig, make_config
from grevy.model.estimator import CEBRA
from grevy.runs import preparing


def test_what_reads_a_file_gets_every_setting_that_it_knows(monkeypatch):
    class Wider(RunConfig):
        mirrored: bool = False

    seen = {}

    def read(path, *, labels=(), neural=None, period=None, trust=False, mirrored=False):
        seen.update(locals())
        return "a recording"

    monkeypatch.setattr(preparing, "read_recording", read)
    config = Wider(data="x.npz", neural="n", label=("a:circular",), period=360, mirrored=True)
    assert preparing.load_recordings(config) == ("a recording",)
    seen.pop("seen")
    assert seen == {
        "path": "x.npz", "labels": ("a:circular",), "neural": "n", "period": 360.0,
        "trust": False, "mirrored": True,
    }  # fmt: skip


def test_a_model_gets_every_setting_that_is_a_parameter():
    changed = {
        "model_architecture": "offset5-model", "output_dimension": 4, "num_hidden_units": 16,
        "max_iterations": 7, "batch_size": 32, "num_negatives": 33, "learning_rate": 1e-3,
        "temperature": 2.0, "temperature_mode": "auto", "min_temperature": 0.5,
        "distance": "euclidean", "conditional": "delta_normal", "delta": 0.25,
        "prior": "uniform", "hybrid": True, "seed": 9, "precision": "bf16",
        "causal": True, "pad_short": True,
    }  # fmt: skip
    config = make_config({"dataset": "x", "device": "cpu", "time_offsets": [3], **changed})
    model = preparing.make_model(config, verbose=True)
    parameters = model.get_params()
    assert {name: parameters[name] for name in changed} == changed
    assert (parameters["time_offsets"], parameters["device"]) == (3, "cpu")
    assert parameters["verbose"]
    shared = set(inspect.signature(CEBRA).parameters) & set(RunConfig.model_fields)
    assert shared == {*changed, "time_offsets", "device"}
