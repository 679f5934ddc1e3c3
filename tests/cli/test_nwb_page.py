"""Every command of docs/nwb.md is run, in its order, on a session that has what it names."""

import re
import shlex
from pathlib import Path

import pytest

from nwb_files import session

PAGE = Path(__file__).parents[2] / "docs" / "nwb.md"
FEW_STEPS = ["--device", "cpu", "--max-iterations", "3", "--batch-size", "64", "--holdout", "0"]


def commands():
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


def test_every_command_works(tmp_path, monkeypatch, grevy_run):
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "session.nwb")
    asked = commands()
    assert [words[:2] for words in asked] == [
        ["grevy", name] for name in ("inspect", "run", "run", "run", "export")
    ]
    for _, *words in asked:
        code, _, err = grevy_run(*words, *(FEW_STEPS if words[0] == "run" else ()))
        assert code == 0, err
    for name in ("embedding.nwb", "embedding.csv", "dataset_description.json"):
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize("name", ["--bin", "--units", "--segments", "--neural", "--label"])
def test_the_page_has_every_flag(name):
    assert name in PAGE.read_text()
