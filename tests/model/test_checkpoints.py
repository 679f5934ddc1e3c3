"""Model files: no code runs unasked, and whatever is broken is said to be broken."""

import errno
import os
import pickle
from pathlib import Path

import cebra
import numpy as np
import pytest
import torch

from grevy.errors import GrevyError
from grevy.model.checkpoints import Checkpoints
from grevy.model.estimator import CEBRA
from grevy.model.files import read_checkpoint, write_checkpoint

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
OPTIONS = {"max_iterations": 3, "batch_size": 8, "num_hidden_units": 4, "device": "cpu"}


class Planted:
    """Pickles into a call that writes a file: what a bad file could do with anything."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "code ran")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    CEBRA(**OPTIONS, seed=0).fit(X).save(path)
    return path


def plant(path, target, form):
    if form == "torch":
        torch.save({"args": Planted(target)}, path)
    elif form == "old torch":
        torch.save({"args": Planted(target)}, path, _use_new_zipfile_serialization=False)
    elif form == "inside a model":
        contents = torch.load(path.parent / "good.pt", weights_only=False)
        contents["grevy"]["state"]["extra"] = Planted(target)
        torch.save(contents, path)
    else:
        path.write_bytes(pickle.dumps(Planted(target), protocol=int(form[-1])))


FORMS = ["torch", "old torch", "inside a model", "pickle 2", "pickle 4"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weights_only", [None, True])
def test_a_planted_call_is_refused_and_does_not_run(form, weights_only, tmp_path):
    CEBRA(**OPTIONS, seed=0).fit(X).save(tmp_path / "good.pt")
    path, target = tmp_path / "model.pt", tmp_path / "ran"
    plant(path, target, form)
    with pytest.raises(GrevyError) as caught:
        CEBRA.load(path, weights_only=weights_only)
    assert not target.exists()
    for word in ("pickled", "trust", str(path)):
        assert word in str(caught.value)


@pytest.mark.parametrize("form", ["torch", "inside a model"])
def test_trust_runs_it(form, tmp_path):
    CEBRA(**OPTIONS, seed=0).fit(X).save(tmp_path / "good.pt")
    path, target = tmp_path / "model.pt", tmp_path / "ran"
    plant(path, target, form)
    read_checkpoint(path, "cpu", trust=True)
    assert target.read_text() == "code ran"


def test_the_old_torch_backend_loads_with_trust_only(tmp_path):
    plain = cebra.CEBRA(**OPTIONS).fit(X)
    path = tmp_path / "old.pt"
    with pytest.warns(DeprecationWarning, match="torch"):
        plain.save(str(path), backend="torch")
    with pytest.raises(GrevyError, match="pickled"):
        CEBRA.load(path)
    loaded = CEBRA.load(path, weights_only=False)
    assert isinstance(loaded, CEBRA)
    np.testing.assert_allclose(loaded.transform(X), plain.transform(X), atol=1e-6)


@pytest.mark.parametrize("trust", [False, True])
def test_a_truncated_file_is_told(model_file, tmp_path, trust):
    whole = model_file.read_bytes()
    path = tmp_path / "part.pt"
    for length in [0, 1, 2, 4, 30, 64, 100, *range(200, len(whole), len(whole) // 25)]:
        path.write_bytes(whole[:length])
        with pytest.raises(GrevyError, match="no complete model file"):
            read_checkpoint(path, "cpu", trust)
    path.write_bytes(whole[:-1])
    with pytest.raises(GrevyError):
        read_checkpoint(path, "cpu", trust)


def test_a_file_of_something_else_is_not_advised_to_be_trusted(tmp_path):
    path = tmp_path / "text.pt"
    path.write_text("Hello, this is no model.")
    with pytest.raises(GrevyError, match=r"no complete model file \(Unsupported operand") as told:
        read_checkpoint(path, "cpu", trust=False)
    assert "weights_only" not in str(told.value)


@pytest.mark.parametrize("first", [None, b"\x80", b"\x80\x02", b"\x80\x04", b"PK\x03\x04"])
def test_random_bytes_are_told(tmp_path, first):
    rng = np.random.default_rng(0)
    path = tmp_path / "random.pt"
    for _ in range(60):
        path.write_bytes((first or b"") + rng.bytes(int(rng.integers(1, 300))))
        with pytest.raises(GrevyError):
            CEBRA.load(path)


def test_damage_inside_never_gives_a_traceback(model_file, tmp_path):
    """A flipped byte is refused or harmless; it never escapes as another kind of error."""
    whole = bytearray(model_file.read_bytes())
    rng = np.random.default_rng(1)
    path = tmp_path / "flipped.pt"
    refused = 0
    for at in rng.integers(0, len(whole), 150):
        flipped = whole.copy()
        flipped[at] ^= int(rng.integers(1, 256))
        path.write_bytes(flipped)
        try:
            CEBRA.load(path)
        except GrevyError:
            refused += 1
    assert refused > 0


NO_MODELS = {
    "a tensor": torch.zeros(3),
    "a number": 3,
    "a list": [1, 2],
    "an empty dict": {},
    "a dict of weights": {"layer.weight": torch.zeros(2, 2)},
    "half a model": {"args": {"model_architecture": "offset1-model"}},
    "an unknown architecture": {"args": {"model_architecture": "offset3-model"}, "state": {}},
    "an architecture of another type": {"args": {"model_architecture": 3}, "state": {}},
    "args of another type": {"args": "none", "state": {}},
}


@pytest.mark.parametrize("case", NO_MODELS)
def test_other_contents_are_told(case, tmp_path):
    path = tmp_path / "other.pt"
    torch.save(NO_MODELS[case], path)
    with pytest.raises(GrevyError) as caught:
        CEBRA.load(path)
    assert "model" in str(caught.value)


def test_weights_of_another_shape_are_told(model_file, tmp_path):
    contents = torch.load(model_file, weights_only=False)
    contents["state"]["n_features_in_"] = 9
    torch.save(contents, tmp_path / "other.pt")
    with pytest.raises(GrevyError, match="no CEBRA model"):
        CEBRA.load(tmp_path / "other.pt")


def test_missing_and_folder(tmp_path):
    with pytest.raises(GrevyError, match="does not exist"):
        CEBRA.load(tmp_path / "none.pt")
    with pytest.raises(GrevyError, match="is a folder"):
        CEBRA.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_file_that_may_not_be_read(model_file, tmp_path, monkeypatch):
    path = tmp_path / "secret.pt"
    path.write_bytes(model_file.read_bytes())
    path.chmod(0)
    if os.geteuid() == 0:  # the superuser reads everything: let the system call refuse

        def refuse(*_args, **_options):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

        monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(GrevyError, match="cannot be read: Permission denied"):
        CEBRA.load(path)


@pytest.mark.parametrize("place", ["file/model.pt", "folder"])
def test_places_that_cannot_be_written(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(GrevyError, match="cannot be written"):
        write_checkpoint({"a": 1}, tmp_path / place)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_full_disk_keeps_the_earlier_file(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits are POSIX")
    path = tmp_path / "model.pt"
    write_checkpoint({"a": 1}, path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(GrevyError, match=r"model\.pt cannot be written"):
            write_checkpoint({"a": torch.zeros(10_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in tmp_path.iterdir()] == ["model.pt"]
    assert read_checkpoint(path, None, trust=False) == {"a": 1}


def test_a_written_file_has_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    write_checkpoint({"a": 1}, tmp_path / "model.pt")
    assert (tmp_path / "model.pt").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    "value",
    [np.float64(1e-3), np.int64(3), np.float32(0.5), np.dtype("int64"), (1, [2.0])],
)
def test_plain_data_needs_no_trust(value, tmp_path):
    write_checkpoint({"value": value}, tmp_path / "model.pt")
    got = read_checkpoint(tmp_path / "model.pt", None, trust=False)["value"]
    assert type(got) is type(value)
    assert got == value


def test_how_often_is_checked_and_a_folder_may_be_a_string(tmp_path):
    assert Checkpoints(str(tmp_path)).newest() == []
    for wrong in ({"minutes": 0}, {"minutes": -1.0}, {"minutes": float("nan")}, {"steps": 0}):
        with pytest.raises(GrevyError, match="checkpoints every"):
            Checkpoints(tmp_path, **wrong)


def test_a_file_of_ones_own_beside_the_checkpoints_is_left_alone(tmp_path):
    kept = Checkpoints(tmp_path)
    (tmp_path / "step_final.pt").touch()
    kept.refuse_unfinished(tmp_path)
    kept.prune(keep=0)
    assert (tmp_path / "step_final.pt").exists()
