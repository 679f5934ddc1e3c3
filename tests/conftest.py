"""What all tests share."""

import sys

import pytest
from hypothesis import settings

# On a busy machine, how long an example takes says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def grevy_run(monkeypatch, capsys):
    """A function that calls the command line in this process: (exit code, output, errors)."""
    from grevy import cli

    monkeypatch.setenv("COLUMNS", "300")

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["grevy", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return call
