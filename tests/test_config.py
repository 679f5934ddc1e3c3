"""Settings: what is accepted, what is refused and how, and what a run's identity depends on."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from grevy.config import RunConfig, config_text, make_config, read_config, run_id
from grevy.errors import GrevyError

DATA = {"dataset": "demo-continuous"}
FILE = {"data": "recording.npz"}


def refused(given):
    with pytest.raises(GrevyError) as caught:
        make_config(given)
    return str(caught.value)


positive = st.floats(1e-12, 1e12, allow_nan=False)
names = st.text(min_size=1, max_size=20)
whole = st.integers(1, 10**9)
anything = {
    "neural": names,
    "bin": positive,
    "units": names,
    "label": st.lists(names, max_size=3),
    "period": positive,
    "segments": names,
    "sampling_rate": positive,
    "gaps": st.sampled_from([None, "nan"]),
    "lag": st.sampled_from([None, "-3", "0.1s", "20ms", 2, -1.0]),
    "rates": st.booleans(),
    "min_rate": st.none() | positive,
    "square_root": st.booleans(),
    "smoothing": st.sampled_from([None, "3", "0.05s", "50 ms", 2, 1.5]),
    "smoothing_kernel": st.none(),  # one needs smoothing; see the next test
    "zscore": st.booleans(),
    "scale_labels": st.booleans(),
    "label_data": names,
    "transpose": st.booleans(),
    "max_bytes": whole,
    "trust": st.booleans(),
    "offline": st.booleans(),
    "imports": st.lists(names, max_size=2),
    "model_architecture": names,
    "output_dimension": whole,
    "num_hidden_units": whole,
    "max_iterations": whole,
    "batch_size": st.none() | whole,
    "num_negatives": st.none() | whole,
    "learning_rate": positive,
    "temperature": positive,
    "temperature_mode": st.sampled_from(["constant", "auto"]),
    "min_temperature": st.none() | positive,
    "time_offsets": st.none() | st.lists(whole, min_size=1, max_size=4),
    "distance": st.sampled_from(["cosine", "euclidean"]),
    "conditional": st.sampled_from([None, "time", "time_delta", "delta_normal", "delta"]),
    "delta": st.none() | positive,
    "prior": st.sampled_from([None, "empirical", "uniform"]),
    "hybrid": st.booleans(),
    "seed": st.none() | st.integers(0, 2**64),
    "holdout": st.floats(0, 1, exclude_max=True),
    "split": st.sampled_from(["blocks", "segments"]),
    "folds": st.none() | st.just(0),  # more need a holdout; see the next test
    "validation": st.floats(0, 1, exclude_max=True),
    "patience": st.none(),  # a number needs validation; see the next test
    "nulls": st.none() | st.just(0) | st.integers(20, 1000),
    "null_retrain": st.just(False),
    "seeds": whole,
    "umap": st.just(False),  # as the folds
    "precision": st.sampled_from(["float32", "bf16"]),
    "causal": st.booleans(),
    "pad_short": st.booleans(),
    "device": names,
    "output_dir": names,
}


@given(st.fixed_dictionaries({}, optional=anything))
@settings(max_examples=150, deadline=None)
def test_settings_survive_the_archive(tmp_path_factory, given):
    config = make_config({**FILE, **given})
    path = tmp_path_factory.getbasetemp() / "config.yaml"
    path.write_bytes(config_text(config.model_dump(mode="json")).encode())
    again = make_config(read_config(path, trust=True))
    assert again == config
    assert run_id(again.model_dump(mode="json"), "x") == run_id(config.model_dump(mode="json"), "x")


def test_settings_that_need_others_survive_it_too():
    for several in (
        {"folds": 5},
        {"umap": True},
        {"validation": 0.1, "patience": 3},
        {"smoothing": "50ms", "smoothing_kernel": "causal"},
        {"nulls": 20, "null_retrain": True},
        {"null_retrain": True},
    ):
        config = make_config({**FILE, **several})
        assert make_config(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("given", "n_nulls"),
    [
        ({}, 1000),
        ({"holdout": 0}, 1000),
        ({"nulls": 0}, 0),
        ({"nulls": 20}, 20),
        ({"null_retrain": True}, 50),
        ({"null_retrain": True, "nulls": 70}, 70),
    ],
)
def test_few_nulls_where_each_takes_a_training(given, n_nulls):
    config = make_config({**FILE, **given})
    assert config.n_nulls == n_nulls
    assert config.nulls == given.get("nulls")
    assert config.folds is None


def test_no_setting_is_left_out_above():
    assert set(RunConfig.model_fields) == {
        *anything,
        "dataset",
        "data",
        "sessions",
        "base_model",
        "base_sha256",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_iteration": 5}, ["unknown setting 'max_iteration'", "'max_iterations'"]),
        ({"zzz": 5}, ["unknown setting 'zzz'", "in all"]),
        ({1: 5}, ["unknown setting '1'"]),
        ({"max_iterations": 0}, ["`max_iterations` is 0", "of at least 1"]),
        ({"max_iterations": "many"}, ["`max_iterations` is 'many'", "a whole number"]),
        ({"max_iterations": 2.5}, ["`max_iterations` is 2.5", "a whole number"]),
        ({"max_iterations": None}, ["`max_iterations` is None", "a whole number"]),
        ({"batch_size": -1}, ["`batch_size` is -1"]),
        ({"learning_rate": float("nan")}, ["`learning_rate` is nan"]),
        ({"learning_rate": float("inf")}, ["`learning_rate` is inf", "finite"]),
        ({"temperature": 0}, ["`temperature` is 0", "above 0"]),
        ({"distance": "cosinus"}, ["`distance` is 'cosinus'", "expected cosine or euclidean"]),
        (
            {"conditional": "times"},
            ["`conditional` is 'times'", "expected time, time_delta, delta_normal or delta"],
        ),
        ({"temperature_mode": "x"}, ["`temperature_mode` is 'x'", "constant or auto"]),
        ({"prior": "flat"}, ["`prior` is 'flat'", "empirical or uniform"]),
        ({"holdout": 1}, ["`holdout` is 1", "below 1"]),
        ({"holdout": -0.1}, ["`holdout` is -0.1"]),
        ({"umap": True, "holdout": 0}, ["`umap`", "`holdout` above 0"]),
        ({"folds": 1}, ["`folds` is 1: give at least 2, or 0"]),
        ({"folds": 2.5}, ["`folds` is 2.5", "a whole number"]),
        ({"nulls": 19}, ["`nulls` is 19: give at least 20, or 0"]),
        ({"nulls": -1}, ["`nulls` is -1"]),
        ({"nulls": 19, "null_retrain": True}, ["`nulls` is 19"]),
        ({"nulls": 0, "null_retrain": True}, ["`null_retrain` needs `nulls`"]),
        ({"holdout": 0, "null_retrain": True}, ["`null_retrain` needs", "`holdout` above 0"]),
        ({"folds": -1}, ["`folds` is -1"]),
        ({"folds": 3, "holdout": 0}, ["`folds` is 3", "`holdout` above 0"]),
        ({"split": "trials"}, ["`split` is 'trials'", "expected blocks or segments"]),
        ({"validation": 1.0}, ["`validation` is 1.0", "below 1"]),
        ({"patience": 0, "validation": 0.1}, ["`patience` is 0"]),
        ({"patience": 3}, ["`patience` needs `validation=FRACTION`"]),
        ({"precision": "fp16"}, ["`precision` is 'fp16'", "float32 or bf16"]),
        ({"seed": -1}, ["`seed` is -1"]),
        ({"seed": 1.5}, ["`seed` is 1.5"]),
        ({"time_offsets": 0}, ["`time_offsets` is 0", "at least 1"]),
        ({"time_offsets": []}, ["`time_offsets` is []", "at least 1"]),
        ({"time_offsets": [3, -1]}, ["`time_offsets`", "at least 1"]),
        ({"imports": 3.5}, ["`imports` is 3.5"]),
        ({"imports": [3]}, ["`imports` is 3", "expected text"]),
        ({"hybrid": "perhaps"}, ["`hybrid` is 'perhaps'", "expected true or false"]),
        ({"learning_rate": "fast"}, ["`learning_rate` is 'fast'", "expected a number."]),
        ({"label": ["x"]}, ["`label`", "a data file", "a data set"]),
        ({"data": "x.npz"}, ["one of `dataset=NAME`", "`data=FILE`"]),
    ],
)
def test_a_mistake_is_named(given, words):
    message = refused({**DATA, **given})
    for word in words:
        assert word in message
    assert "Input should be" not in message
    assert "\n" not in message


def test_no_source_is_a_mistake():
    assert "`dataset=NAME`" in refused({})


def test_all_mistakes_are_named_at_once():
    message = refused({**DATA, "max_iterations": 0, "distance": "x", "seed": -1})
    assert "3 problems" in message
    for word in ("`max_iterations`", "`distance`", "`seed`"):
        assert word in message


def test_a_long_value_is_cut():
    assert len(refused({**DATA, "max_iterations": list(range(10**5))})) < 300


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"time_offsets": 5}, (5,)),
        ({"time_offsets": [5, 10]}, (5, 10)),
        ({"label": "position"}, ("position",)),
        ({"imports": "mine.py"}, ("mine.py",)),
    ],
)
def test_one_may_stand_for_a_list(given, expected):
    (name,) = given
    assert getattr(make_config({**FILE, **given}), name) == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"dataset: [", ["not valid YAML"]),
        (b"- dataset\n- data\n", ["holds list", "max_iterations: 5000"]),
        (b"just words", ["holds str"]),
        (b"", ["holds NoneType"]),
        (bytes(range(256)), ["not valid YAML"]),
        (b"\x80\x04\x95", ["not valid YAML"]),
        (b"a: !!python/object/apply:os.system ['true']", ["not valid YAML"]),
        (b"a: 2026-99-99", ["not valid YAML", "month"]),
        (b"[" * 20000, ["not valid YAML"]),
        (b"[" * 20000 + b"]" * 20000, ["not valid YAML"]),
        (b"- " * 200000, ["not valid YAML"]),
        (b"&a [*a", ["not valid YAML"]),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_a_file_that_holds_no_settings(tmp_path, content, words):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(GrevyError) as caught:
        read_config(path)
    message = str(caught.value)
    assert str(path) in message
    for word in words:
        assert word in message


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(GrevyError, match=r"cannot be read.*Give the path of a YAML file"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(GrevyError, match="is a folder; expected a file"):
        read_config(tmp_path)


NAMED = [
    ("mine.py", ["mine.py"]),
    ("[mine.py]", ["mine.py"]),
    ("[a.py, mine.py]", ["a.py", "mine.py"]),
    ("!!set {mine.py: null}", ["mine.py"]),
    ("{mine.py: null}", ["mine.py"]),
    ("[!!binary bWluZS5weQ==]", ["mine.py"]),
]


@pytest.mark.parametrize(("named", "modules"), NAMED)
def test_a_file_cannot_import_by_itself(tmp_path, named, modules):
    path = tmp_path / "run.yaml"
    path.write_text(f"dataset: demo-continuous\nimports: {named}\n")
    with pytest.raises(GrevyError, match="asks to import") as caught:
        read_config(path)
    for module in modules:
        assert module in str(caught.value)
    assert "`trust=True`" in str(caught.value)
    assert f"`imports={modules[0]}`" in str(caught.value) or "binary" in named
    assert "imports" in read_config(path, trust=True)


def test_a_module_that_the_caller_names_too_is_no_strangers(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("dataset: demo-continuous\nimports: [a.py, mine.py]\n")
    assert read_config(path, imports=["mine.py", "a.py"])["imports"] == ["a.py", "mine.py"]
    with pytest.raises(GrevyError, match=r"asks to import mine\.py,"):
        read_config(path, imports=["a.py"])


@pytest.mark.parametrize("named", ["[]", "null", "''", "{}"])
def test_a_file_that_names_no_module_needs_no_trust(tmp_path, named):
    path = tmp_path / "run.yaml"
    path.write_text(f"dataset: demo-continuous\nimports: {named}\n")
    assert not read_config(path)["imports"]


def test_a_file_cannot_trust_another(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("data: theirs.jl\ntrust: true\n")
    assert read_config(path) == {"data": "theirs.jl"}


def test_numbers_as_yaml_has_them(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("dataset: demo-continuous\nlearning_rate: 1e-4\nmin_temperature: null\n")
    config = make_config(read_config(path))
    assert config.learning_rate == 1e-4  # which YAML takes for text
    assert config.min_temperature is None


@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\u2029", "\ufeff", "\x00", "\n", "\t"])
def test_odd_characters_survive(tmp_path, separator):
    settings = {"output_dir": f"a{separator}b ü"}
    (tmp_path / "run.yaml").write_bytes(config_text(settings).encode())
    assert read_config(tmp_path / "run.yaml") == settings


def test_the_archived_text_is_plain_yaml_in_the_order_of_the_settings():
    config = make_config({**DATA, "output_dir": "Ergebnisse/Zebra ü"})
    text = config_text(config.model_dump(mode="json"))
    assert list(yaml.safe_load(text)) == list(RunConfig.model_fields)
    assert "Zebra ü" in text


class TestRunId:
    settings = make_config({**FILE, "label": ["x"], "seed": 3}).model_dump(mode="json")

    def test_it_is_twelve_hexadecimal_digits(self):
        assert len(run_id(self.settings, "abc")) == 12
        assert int(run_id(self.settings, "abc"), 16) >= 0

    def test_it_is_the_same_in_another_process(self):
        code = (
            "from grevy.config import make_config, run_id;"
            "c = make_config({'data': 'recording.npz', 'label': ['x'], 'seed': 3});"
            "print(run_id(c.model_dump(mode='json'), 'abc'))"
        )
        for salt in ("0", "1"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                env={"PYTHONHASHSEED": salt, "HOME": str(Path.home())},
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout.strip() == run_id(self.settings, "abc")

    def test_it_does_not_depend_on_the_order_of_settings(self):
        turned = dict(reversed(self.settings.items()))
        assert run_id(turned, "abc") == run_id(self.settings, "abc")

    @pytest.mark.parametrize(
        "incidental",
        [
            {"output_dir": "elsewhere"},
            {"device": "cuda:1"},
            {"offline": True},
            {"trust": True},
            {"data": "/another/place/recording.npz"},
        ],
    )
    def test_it_is_blind_to_where(self, incidental):
        assert run_id({**self.settings, **incidental}, "abc") == run_id(self.settings, "abc")

    @pytest.mark.parametrize(
        "deciding",
        [
            {"seed": 4},
            {"label": ["y"]},
            {"max_iterations": 5001},
            {"time_offsets": [10, 20]},
            {"learning_rate": 3.0000001e-4},
            {"holdout": 0.0},
            {"distance": "euclidean"},
        ],
    )
    def test_it_sees_what_decides(self, deciding):
        assert run_id({**self.settings, **deciding}, "abc") != run_id(self.settings, "abc")

    def test_it_sees_the_data(self):
        assert run_id(self.settings, "abc") != run_id(self.settings, "abd")
