"""The file of a sweep: every mistake in it is said at once, with its line."""

import random

import pytest

from grevy.errors import GrevyError
from grevy.sweeps.drawing import Distribution, make_distribution
from grevy.sweeps.reading import read_sweep
from tiny_sweeps import write_sweep


def refused(tmp_path, text, **settings):
    with pytest.raises(GrevyError) as caught:
        read_sweep(write_sweep(tmp_path, text), **settings)
    return str(caught.value)


def test_every_mistake_is_said_with_its_line(tmp_path):
    said = refused(
        tmp_path,
        "base:\n"  # 1
        "  neurl: spikes\n"
        "  output_dir: elsewhere\n"  # 3
        "grid:\n"
        "  output_dimension: [2, 0, 3, x]\n"  # 5
        "  learning_rate: []\n"
        "  seed: 3\n"  # 7
        "list:\n"
        "  - {temperature: -1}\n"  # 9
        "  - 4\n"
        "random:\n"  # 11
        "  runs: none\n"
        "  min_temperature: {between: [1, 0.1]}\n"  # 13
        "  distance: {between: [1, 2]}\n"
        "  delta: 0.1\n"  # 15
        "gird: 3\n",
    )
    lines = [line.removeprefix("  - ") for line in said.splitlines()[1:]]
    assert {int(line.split(":")[0].removeprefix("line ")) for line in lines} == {
        2, 3, 5, 6, 7, 9, 10, 12, 13, 14, 15, 16,
    }  # fmt: skip
    assert "13 problems" in said  # two of them in line 5
    for words in ("'neural'", "`output_dimension` is 0", "`output_dimension` is 'x'", "'grid'"):
        assert words in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no sections"),
        ("- 1\n", "holds no sections"),
        ("base: {}\n", "nothing varies"),
        ("grid:\n", "expected settings"),
        ("grid: {}\n", "grid is empty"),
        ("grid: {seed: [1, 1.5]}\n", "line 1: grid: `seed` is 1.5"),
        ("grid: {seed: [1]\n", "is not valid YAML"),
        ("grid: {seed: [1]}\ngrid: {seed: [2]}\n", "line 1: 'grid' is given more than once"),
        ("grid:\n  seed: [1]\n  seed: [2]\n", "line 2: 'seed' is given more than once"),
        ("grid: {seed: [1]}\nlist: [{seed: 1}]\n", "line 2: 'seed' is in grid and list"),
        ("list: []\n", "expected entries"),
        ("random: {}\n", "random needs 'runs'"),
        ("random: {runs: 3}\n", "random needs 'runs'"),
        ("random: {seed: {among: [1, 2]}}\n", "random needs 'runs'"),
        ("random:\n  seed: {among: [1, 2]}\n  period: 1\n", "random needs 'runs'"),
        ("random: {runs: 0, seed: {among: [1, 2]}}\n", "'runs' is 0"),
        ("random: {runs: true, seed: {among: [1, 2]}}\n", "'runs' is True"),
        ("random: {runs: 3, seed: {among: []}}\n", "expected {between"),
        ("random: {runs: 3, seed: {among: [-1]}}\n", "`seed` is -1"),
        ("random: {runs: 3, seed: {between: [0, 3], scale: log}}\n", "above 0"),
        ("random: {runs: 3, seed: {between: [0, 3], scale: lin}}\n", "expected log or linear"),
        ("random: {runs: 3, seed: {between: [0, 1, 2]}}\n", "expected {between"),
        ("random: {runs: 3, temperature: {between: [0.1, .nan]}}\n", "`temperature` is nan"),
        ("random: {runs: 3, temperature: {between: [0.1, .inf]}}\n", "`temperature` is inf"),
        ("random: {runs: 3, temperature: {between: [true, 2]}}\n", "is True: expected a number"),
        ("grid: &a\n  seed: [*a]\n", "`seed`"),
        ("? [1, 2]\n: 3\n", "unknown section"),
        ("grid: {seed: [2026-99-99]}\n", "line 1"),
        ("base: {imports: [evil]}\ngrid: {seed: [1]}\n", "asks to import evil"),
        ("grid: {imports: [evil, [fine]]}\n", "asks to import evil"),
        ("base: {trust: true}\ngrid: {seed: [1]}\n", "asks to run code"),
    ],
)
def test_what_is_no_sweep_is_refused(tmp_path, text, words):
    assert words in refused(tmp_path, text)


def test_what_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(GrevyError, match="there is no sweep"):
            read_sweep(path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GrevyError, match="not valid YAML"):
        read_sweep(tmp_path / "bytes.yaml")
    (tmp_path / "large.yaml").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(GrevyError, match="a page of YAML"):
        read_sweep(tmp_path / "large.yaml")


def test_modules_that_are_named_too_are_imported(tmp_path):
    path = write_sweep(tmp_path, "base: {imports: [mine]}\ngrid: {seed: [1]}\n")
    assert read_sweep(path, imports=["mine"]).base == {"imports": ["mine"]}
    assert read_sweep(path, trust=True).base == {"imports": ["mine"]}


def test_what_is_read_is_written_back_the_same(tmp_path):
    path = write_sweep(
        tmp_path,
        "base: {label: [position, 'heading:circular'], batch_size: 0}\n"
        "grid: {time_offsets: [2, [3, 10]], learning_rate: [1e-3, 0.01]}\n"
        "list: [{distance: cosine}, {distance: euclidean, temperature: 1}]\n"
        "random:\n"
        "  runs: 2\n"
        "  min_temperature: {between: [0.1, 1], scale: log}\n"
        "  num_hidden_units: {between: [4, 64]}\n"
        "  seed: {among: [1, 2]}\n",
    )
    found = read_sweep(path)
    assert found.base["batch_size"] is None
    assert found.varied == (
        "distance", "temperature", "time_offsets", "learning_rate", "min_temperature",
        "num_hidden_units", "seed",
    )  # fmt: skip
    import yaml

    again = read_sweep(write_sweep(tmp_path, yaml.safe_dump(found.as_mapping(), sort_keys=False)))
    assert again == found


class TestDistribution:
    def test_whole_numbers_reach_both_ends_equally(self):
        rng = random.Random(0)
        each = make_distribution("seed", {"between": [3, 6]})
        drawn = [each.draw(rng) for _ in range(4000)]
        assert {type(value) for value in drawn} == {int}
        assert set(drawn) == {3, 4, 5, 6}
        assert all(850 < drawn.count(value) < 1150 for value in (3, 4, 5, 6))

    def test_a_logarithm_is_even_in_the_logarithm(self):
        rng = random.Random(0)
        each = make_distribution("learning_rate", {"between": ["1e-4", 1e-2], "scale": "log"})
        drawn = [each.draw(rng) for _ in range(4000)]
        assert min(drawn) >= 1e-4
        assert max(drawn) <= 1e-2
        assert 0.45 < sum(value < 1e-3 for value in drawn) / 4000 < 0.55

    def test_whole_numbers_may_be_drawn_in_the_logarithm(self):
        rng = random.Random(0)
        each = make_distribution("num_hidden_units", {"between": [1, 64], "scale": "log"})
        drawn = [each.draw(rng) for _ in range(4000)]
        assert {1, 2, 64} <= set(drawn) <= set(range(1, 65))
        assert sum(value <= 8 for value in drawn) > 2000

    def test_some_values_are_as_likely(self):
        drawn = [Distribution(among=("a", "b")).draw(random.Random(seed)) for seed in range(400)]
        assert 150 < drawn.count("a") < 250
