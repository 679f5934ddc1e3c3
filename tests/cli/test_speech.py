"""What the command line says: flags for parameters, one line each, nothing that acts."""

import logging
import sys
import warnings

import pytest

from grevy.cli.speech import ending_plainly, in_flags, speaking
from grevy.errors import GrevyError

FLAGS = {"nulls": "--nulls", "output_dir": "--output-dir", "trust": "--trust", "data": "--data"}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("`nulls` is 3", "--nulls is 3"),
        ("`output_dir=a b`: no", "--output-dir a b: no"),
        ("`output_dir='a b'`: no", "--output-dir a b: no"),
        ("give `trust=True`.", "give --trust."),
        ("`data=FILE`, not `dataset`", "--data FILE, not `dataset`"),
        ("see `grevy datasets`, `nulls`", "see `grevy datasets`, --nulls"),
        ("nulls are moved labels", "nulls are moved labels"),
    ],
)
def test_parameters_become_flags_where_there_are_some(message, expected):
    assert in_flags(message, FLAGS) == expected


def test_what_is_logged_is_said_in_plain_lines(capsys):
    log = logging.getLogger("grevy.anything")
    with speaking(FLAGS):
        log.info("set `nulls`")
        log.warning("\x1b[31mred %s")
        warnings.warn("two\nlines", RuntimeWarning, stacklevel=1)
        log.debug("no")
    log.warning("after")
    err = capsys.readouterr().err
    assert err == "set --nulls\n\\x1b[31mred %s\ntwo lines\n"


def test_it_follows_standard_error(monkeypatch, capsys):
    """As a progress bar takes its place while it is drawn."""
    with speaking(FLAGS):
        lines = []
        monkeypatch.setattr(sys, "stderr", type("Bar", (), {"write": lines.append})())
        logging.getLogger("grevy").info("above the bar")
    assert "".join(lines) == "above the bar\n"
    assert capsys.readouterr().err == ""


def test_quiet_lets_nothing_but_errors_through(capsys):
    with speaking(FLAGS, logging.ERROR):
        logging.getLogger("grevy").warning("no")
        warnings.warn("no", RuntimeWarning, stacklevel=1)
    assert capsys.readouterr().err == ""


def test_all_is_put_back():
    before = logging.getLogger("grevy").handlers[:], logging.getLogger("grevy").level
    shows = warnings.showwarning
    with pytest.raises(RuntimeError), speaking(FLAGS):
        raise RuntimeError
    assert (logging.getLogger("grevy").handlers, logging.getLogger("grevy").level) == before
    assert warnings.showwarning is shows


def test_a_mistake_is_said_in_flags(capsys):
    with pytest.raises(SystemExit) as stopped, ending_plainly(FLAGS):
        raise GrevyError("`nulls` is \x1b[2J")
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "grevy: --nulls is \\x1b[2J\n"
