"""Every command of docs/sessions.md is run, in its order, on files that have what it names."""

import re
import shlex
from pathlib import Path

import numpy as np

from made_sessions import write_session

PAGE = Path(__file__).parents[2] / "docs" / "sessions.md"
FEW_STEPS = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "64", "--nulls", "0"]


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_command_works(tmp_path, monkeypatch, grevy_run):
    monkeypatch.chdir(tmp_path)
    for number in range(1, 5):
        arrays = write_session(Path(f"mouse{number}.npz"), number, 5 + number, 300 + 10 * number)
        if number == 3:
            arrays["counts"], arrays["xy"] = arrays.pop("spikes"), arrays.pop("position")
            np.savez("mouse3.npz", **arrays)
    (yaml,) = blocks("yaml")
    Path("sessions.yaml").write_text(yaml)
    lines = "".join(blocks("bash")).replace("\\\n", " ").splitlines()
    asked = [shlex.split(line) for line in lines]
    assert [words[1] for words in asked] == ["run", "run", "adapt", "evaluate", "embed", "export"]
    for _, *words in asked:
        more = FEW_STEPS if words[0] in ("run", "adapt") else []
        more = [*more, "--folds", "0"] if words[0] == "run" else more
        code, _, err = grevy_run(*words, *more)
        assert code == 0, err
    assert np.load("mouse2.npy").shape == (320, 3)
    assert Path("embedding.csv").read_text().startswith("recording,step,segment,embedding_1")
    assert Path("results/mice-and-one/report.html").is_file()
