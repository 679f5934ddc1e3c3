import traceback
import unicodedata

import pytest

from grevy.errors import (
    GrevyError,
    IsFolderError,
    MissingFileError,
    Problems,
    UnsupportedError,
    WrongTypeError,
    shown,
    shown_line,
    unknown,
)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("plain text", "plain text"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        (
            "\u4f4d\u7f6e \U0001f993 \u03b8 \u00e9 1\u202f000",
            "\u4f4d\u7f6e \U0001f993 \u03b8 \u00e9 1\u202f000",
        ),
        # joiners that Persian and emoji are written with
        (
            "\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f52c",
            "\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f52c",
        ),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("back\rover", r"back\rover"),
        ("\x9b2J", r"\x9b2J"),
        ("a\u202egnp.exe", r"a\u202egnp.exe"),
        ("\u2067x\u2069", r"\u2067x\u2069"),
        ("lone \ud83d half", r"lone \ud83d half"),
        ("one\u2028two", r"one\u2028two"),
        (r"C:\new \x1b", r"C:\new \x1b"),
    ],
)
def test_what_would_act_on_a_terminal_is_spelled_out(given, expected):
    assert shown(given) == expected
    assert shown(shown(given)) == expected


def test_no_control_code_is_forgotten():
    everything = [chr(code) for code in range(0x110000)]
    acting = {each for each in everything if shown(each) != each}
    controls = {each for each in everything if unicodedata.category(each) in ("Cc", "Cs")}
    bidi = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
    turning = {each for each in everything if unicodedata.bidirectional(each) in bidi}
    marks = set("\u061c\u200e\u200f")  # no embedding, but invisible strong characters
    separators = {"\u2028", "\u2029"}
    assert acting == (controls - {"\n", "\t"}) | turning | marks | separators
    assert all(shown(each).isprintable() and shown(each).startswith("\\") for each in acting)


def test_an_error_is_shown_safely_wherever_it_is_printed():
    problems = Problems("\x1b[2Jneural.npz")
    problems.add("no label \u202eesrever")
    with pytest.raises(GrevyError) as caught:
        problems.raise_if_any()
    said = "".join(traceback.format_exception(caught.value))
    assert r"\x1b[2Jneural.npz: no label \u202eesrever" in said
    assert shown(said) == said


@pytest.mark.parametrize(
    ("given", "expected"),
    [("x\nverified", r"x\nverified"), ("a\tb", r"a\tb"), ("\x1b[A", r"\x1b[A"), ("plain", "plain")],
)
def test_a_line_stays_one(given, expected):
    assert shown_line(given) == expected == shown_line(expected)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([GrevyError], GrevyError),
        ([WrongTypeError], WrongTypeError),
        ([WrongTypeError, WrongTypeError], WrongTypeError),
        ([WrongTypeError, GrevyError], GrevyError),
        ([WrongTypeError, UnsupportedError], GrevyError),
    ],
)
def test_problems_are_of_their_kind_if_they_share_one(kinds, expected):
    problems = Problems("data")
    for number, kind in enumerate(kinds):
        problems.add(f"problem {number}.", kind)
    with pytest.raises(GrevyError) as caught:
        problems.raise_if_any()
    assert type(caught.value) is expected
    assert all(f"problem {number}." in str(caught.value) for number in range(len(kinds)))


def test_an_unknown_name_is_of_the_kind_asked_for():
    assert type(unknown("mask", "x", ["y"])) is GrevyError
    error = unknown("optimizer", "sgd", ["adam"], UnsupportedError)
    assert isinstance(error, NotImplementedError)
    assert str(error) == "unknown optimizer 'sgd'. Choose from adam."


@pytest.mark.parametrize("kind", [UnsupportedError, MissingFileError, IsFolderError])
def test_errors_of_two_classes_say_what_they_were_given(kind):
    assert str(kind("no \x1b[31mred")) == "no \\x1b[31mred"
