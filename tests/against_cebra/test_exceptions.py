"""What `cebra`'s estimator raises on purpose, and ours beside it: whoever catches that, goes on."""

import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cebra
import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.exceptions import NotFittedError

from grevy.errors import GrevyError
from grevy.model.estimator import CEBRA

RNG = np.random.default_rng(0)
X, X2 = RNG.normal(size=(60, 6)).astype(np.float32), RNG.normal(size=(50, 4)).astype(np.float32)
LINE, KLASS = RNG.normal(size=(60, 2)), RNG.integers(0, 3, 60)
MANY = ([X, X2], [LINE, LINE[:50]])
SMALL = {"max_iterations": 2, "batch_size": 16, "num_hidden_units": 4, "device": "cpu"}
HOLED = np.where(X > 2, np.nan, X)


@dataclass(frozen=True)
class Estimators:
    """One of the two classes, and a folder with files to load."""

    kind: type
    folder: Path

    def fit(self, *data: Any, **options: Any) -> Any:
        return self.kind(**{**SMALL, **options}).fit(*data)


# What is done, what `cebra` raises, and words that both messages hold (as `cebra`'s tests ask).
BOTH_RAISE = {
    "`CEBRA(optimizer=\"sgd\")` (ours: when fitted)": (
        lambda e: e.fit(X, optimizer="sgd"), NotImplementedError, "adam"),
    "an unknown architecture": (lambda e: e.fit(X, model_architecture="x"), ValueError, ""),
    "an unknown device": (lambda e: e.fit(X, device="tpu"), ValueError, "[Dd]evice"),
    "a GPU that is not there": (lambda e: e.fit(X, device="cuda:99"), ValueError, "CUDA device"),
    "an unknown criterion or distance": (lambda e: e.fit(X, distance="l1"), ValueError, "l1"),
    "an unknown `conditional`": (lambda e: e.fit(X, LINE, conditional="x"), ValueError, ""),
    "`time_offsets` that are no whole numbers": (
        lambda e: e.fit(X, LINE, time_offsets=(1.5,)), TypeError, "time_offsets"),
    "`hybrid` without a label": (lambda e: e.fit(X, hybrid=True), ValueError, ""),
    "`callback_frequency` without `callback`": (
        lambda e: e.kind(**SMALL).fit(X, callback_frequency=1), ValueError, "callback"),
    "data with NaN or infinity": (lambda e: e.fit(HOLED), ValueError, "NaN"),
    "data that is not (T, N), or empty": (lambda e: e.fit(X[:, 0]), ValueError, ""),
    "sparse data": (lambda e: e.fit(scipy.sparse.csr_matrix(X)), TypeError, "[Ss]parse"),
    "data shorter than the receptive field": (
        lambda e: e.fit(X[:20], model_architecture="offset36-model"), ValueError, "20.*36"),
    "labels of another length": (lambda e: e.fit(X, LINE[:50]), ValueError, "Invalid.*samples"),
    "a list of labels for one recording": (
        lambda e: e.fit(X, [LINE, LINE]), ValueError, "Invalid.*labels.*sessions"),
    "several recordings, other numbers of labels": (
        lambda e: e.fit([X, X2], [LINE]), ValueError, "Invalid.*sessions"),
    "several recordings, a label of another length": (
        lambda e: e.fit([X, X2], [LINE, LINE]), ValueError, "Invalid.*samples"),
    "several recordings, no label": (lambda e: e.fit([X, X2]), RuntimeError, "No.*label"),
    "`fit(adapt=True)` from several recordings to one": (
        lambda e: e.fit(*MANY).fit(X, LINE, adapt=True), NotImplementedError, "multisession"),
    "`transform` before `fit`": (lambda e: e.kind().transform(X), NotFittedError, "not fitted"),
    "`transform`, other neurons": (lambda e: e.fit(X).transform(X2), ValueError, "shape"),
    "`transform`, several recordings and no `session_id`": (
        lambda e: e.fit(*MANY).transform(X), RuntimeError, "No session_id provided"),
    "`transform`, no such `session_id`": (
        lambda e: e.fit(X).transform(X, session_id=2), RuntimeError, "Invalid session_id"),
    "`transform`, `batch_size` below 1 or no whole number": (
        lambda e: e.fit(X).transform(X, batch_size=0), ValueError, "batch_size"),
    "`save` before `fit`": (lambda e: e.kind().save(e.folder / "x.pt"), ValueError, "not fitted"),
    "`save`, unknown backend": (
        lambda e: e.fit(X).save(e.folder / "x.pt", backend="x"), NotImplementedError, "backend"),
    "`load`, unknown backend": (
        lambda e: e.kind.load(e.folder / "good.pt", backend="x"), NotImplementedError, "backend"),
    "`load`, no such file": (
        lambda e: e.kind.load(e.folder / "none.pt"), FileNotFoundError, "none.pt"),
    "`load`, a folder": (lambda e: e.kind.load(e.folder), IsADirectoryError, ""),
    "`load`, something else than a model": (
        lambda e: e.kind.load(e.folder / "list.pt"), RuntimeError, "list"),
    "`load`, a part of the model missing": (
        lambda e: e.kind.load(e.folder / "part.pt"), ValueError, ""),
    "`load`, a model that is not fitted": (
        lambda e: e.kind.load(e.folder / "unfitted.pt", weights_only=False),
        ValueError, "not fitted"),
    "`to`, no device": (lambda e: e.fit(X).to(5), TypeError, "device"),
    "`to`, an unknown device": (lambda e: e.fit(X).to("tpu"), ValueError, "device"),
}  # fmt: skip

# What `cebra` refuses and we can do.
ONLY_CEBRA_RAISES = {
    "several `time_offsets`": (
        lambda e: e.fit(X, LINE, time_offsets=(1, 2)), NotImplementedError),
    "several discrete labels": (lambda e: e.fit(X, KLASS, KLASS[::-1]), ValueError),
    "`fit(adapt=True)` that adds a recording to those of the model": (
        lambda e: e.fit(*MANY).fit(
            [*MANY[0], X[:60, :3]], [*MANY[1], LINE[:60]], adapt=True), NotImplementedError),
    "several recordings with several labels": (
        lambda e: e.fit(*MANY, [KLASS, KLASS[:50]]), NotImplementedError),
    "hybrid or whole-data training with classes": (
        lambda e: e.fit(X, KLASS, hybrid=True), NotImplementedError),
    "whole-data or hybrid training on several recordings": (
        lambda e: e.fit(*MANY, batch_size=None), NotImplementedError),
    "labels of strings, or negative": (lambda e: e.fit(X, KLASS - 5), ValueError),
    "windows of a model that resamples and is not convolutional": (
        lambda e: e.fit(X, model_architecture="offset4-model-2x-subsample"), ValueError),
    "`transform`, data or batches shorter than the receptive field": (
        lambda e: e.fit(X, model_architecture="offset36-model").transform(X, batch_size=10),
        ValueError),
}  # fmt: skip

# What we refuse and `cebra` lets pass.
ONLY_WE_RAISE = {
    "`conditional` of a label where there is none (there: `\"time\"`)":
        lambda e: e.fit(X, conditional="time_delta"),
    "`delta` without `conditional=\"delta_normal\"` (there: ignored)":
        lambda e: e.fit(X, LINE, delta=0.1),
    "`callback` without `callback_frequency` (there: never called)":
        lambda e: e.kind(**SMALL).fit(X, callback=print),
    "a time offset longer than the data (there: others are taken)":
        lambda e: e.fit(X, LINE, time_offsets=100),
    "a temperature of 0, or one to learn below its minimum":
        lambda e: e.fit(X, temperature_mode="auto", temperature=0.05),
    "cosine in one dimension": lambda e: e.fit(X, output_dimension=1),
    "constant labels": lambda e: e.fit(X, np.ones((60, 1))),
    "data that is zero everywhere": lambda e: e.fit(X * 0),
    "`partial_fit`, other neurons (there: the old data again)":
        lambda e: e.kind(**SMALL).partial_fit(X).partial_fit(X2),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models")
    cebra.CEBRA(**SMALL).fit(X).save(str(path / "good.pt"))
    contents = torch.load(path / "good.pt", weights_only=False)
    del contents["state_dict"]
    torch.save(contents, path / "part.pt")
    torch.save([1, 2], path / "list.pt")
    torch.save(cebra.CEBRA(**SMALL), path / "unfitted.pt")
    return path


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("case", BOTH_RAISE)
def test_ours_is_caught_where_that_of_cebra_is(case, folder):
    act, kind, words = BOTH_RAISE[case]
    with pytest.raises(kind, match=words):
        act(Estimators(cebra.CEBRA, folder))
    with pytest.raises(kind, match=words) as caught:
        act(Estimators(CEBRA, folder))
    own = isinstance(caught.value, GrevyError | NotFittedError)
    assert own or case.startswith("`to`")  # which is `cebra`'s own method


@pytest.mark.parametrize("case", ONLY_CEBRA_RAISES)
def test_what_cebra_refuses_and_we_do(case, folder):
    act, kind = ONLY_CEBRA_RAISES[case]
    with pytest.raises(kind):
        act(Estimators(cebra.CEBRA, folder))
    act(Estimators(CEBRA, folder))


@pytest.mark.parametrize("case", ONLY_WE_RAISE)
def test_what_we_refuse_and_cebra_does(case, folder):
    ONLY_WE_RAISE[case](Estimators(cebra.CEBRA, folder))
    with pytest.raises(GrevyError):
        ONLY_WE_RAISE[case](Estimators(CEBRA, folder))


def rows_of(heading):
    """Cells of the table under a heading of the page."""
    page = (Path(__file__).parents[2] / "docs" / "differences.md").read_text()
    section = page.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def test_the_page_lists_them_all():
    own = {
        ValueError: "`GrevyError`",
        NotFittedError: "`NotFittedError`",
        TypeError: "`WrongTypeError`",
        NotImplementedError: "`UnsupportedError`",
        FileNotFoundError: "`MissingFileError`",
        IsADirectoryError: "`IsFolderError`",
    }
    runtime = {"`load`": "`NoModelError`"}
    expected = []
    for case, (_, kind, _words) in BOTH_RAISE.items():
        ours = own.get(kind) or runtime.get(case.split(",")[0], "`SessionError`")
        ours = f"`{kind.__name__}`" if case.startswith("`to`") else ours
        expected.append([case, f"`{kind.__name__}`", ours])
    for case, (_, kind) in ONLY_CEBRA_RAISES.items():
        expected.append([case, f"`{kind.__name__}`", "works"])
    expected += [[case, "works", "`GrevyError`"] for case in ONLY_WE_RAISE]
    assert rows_of("Errors") == expected
