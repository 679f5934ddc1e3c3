"""Faults measured in `cebra` 0.6.1, one by one: its half shows the fault, ours does not have it.

The halves marked ``cebra_fault`` run plain `cebra`. One that fails there tells that `cebra` has
mended the fault; ours must pass whatever `cebra` does.
"""

import pickle
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cebra
import cebra.distributions
import numpy as np
import pytest
import torch

import grevy
from grevy.data.labels import TAU, continuous, discrete
from grevy.data.recording import make_recording
from grevy.engine.loop import batches
from grevy.engine.sampling.drawing import draw
from grevy.engine.sampling.plan import SamplingPlan
from grevy.engine.sampling.preparation import make_sampler
from grevy.errors import GrevyError
from grevy.model.estimator import CEBRA
from grevy.model.inputs import gather_recordings

fault = pytest.mark.cebra_fault
RNG = np.random.default_rng(0)
LINE = np.cumsum(RNG.normal(size=(300, 2)), axis=0)
KLASS = RNG.integers(0, 3, 300)
SHOWN = np.column_stack([LINE / LINE.std(0), 2 * np.eye(3)[KLASS], KLASS[::-1]])
X, X2 = ((SHOWN + RNG.normal(0, 0.3, SHOWN.shape)).astype(np.float32) for _ in range(2))
SMALL = {"max_iterations": 5, "batch_size": 16, "num_hidden_units": 4, "device": "cpu"}


def plain(**options):
    return cebra.CEBRA(**{**SMALL, **options})


def ours(**options):
    return CEBRA(**{**SMALL, "seed": 0, **options})


def batches_of(labels, conditional, n_steps=50, batch_size=200, segments=None, right=1, **options):
    recording = make_recording(np.ones((len(labels[0]), 1)), labels, segments=segments)
    plan = SamplingPlan(conditional, batch_size=batch_size, **options)
    sampler = make_sampler([recording], 0, right, plan)
    return draw(sampler, n_steps, np.random.default_rng(0))


# --- row 1: seeds ----------------------------------------------------------------------------

MODES = {
    "time": ((X,), {"conditional": "time"}),
    "time_delta": ((X, LINE), {"conditional": "time_delta"}),
    "delta_normal": ((X, LINE), {"conditional": "delta_normal", "delta": 0.3}),
    "hybrid": ((X, LINE), {"hybrid": True, "conditional": "time_delta"}),
}


@pytest.mark.parametrize("mode", ["time", "time_delta", "delta_normal", "hybrid"])
class TestRow1Seeding:
    @fault
    def test_cebra_does_not_repeat(self, mode):
        data, options = MODES[mode]
        histories = []
        for _ in range(2):
            torch.manual_seed(0)
            np.random.seed(0)  # noqa: NPY002
            histories.append(plain(**options).fit(*data).solver_.history)
        assert histories[0] != histories[1]

    def test_ours_does(self, mode):
        data, options = MODES[mode]
        first, second = (ours(**options).fit(*data) for _ in range(2))
        assert first.solver_.history == second.solver_.history
        np.testing.assert_array_equal(first.transform(X), second.transform(X))


# --- row 2: an interrupted fit ---------------------------------------------------------------


def interrupt(step, solver):
    if step >= 3:
        raise KeyboardInterrupt


class TestRow2Interruption:
    @fault
    def test_cebra_is_unusable_and_resumes_on_the_old_data(self, tmp_path):
        model = plain()
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, callback=interrupt, callback_frequency=1)
        with pytest.raises((ValueError, AttributeError)):
            model.transform(X)
        with pytest.raises((ValueError, AttributeError)):
            model.save(str(tmp_path / "model.pt"))
        model.fit(X[:, :2])
        assert model.n_features_ == 6  # not the two neurons that it was given

    def test_ours_is_usable_and_starts_on_the_new_data(self, tmp_path):
        model = ours(max_iterations=100)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, callback=interrupt, callback_frequency=1)
        assert model.n_steps_ == len(model.solver_.history) == 4
        expected = ours(max_iterations=4).fit(X).transform(X)
        np.testing.assert_array_equal(model.transform(X), expected)
        model.save(tmp_path / "model.pt")
        np.testing.assert_array_equal(CEBRA.load(tmp_path / "model.pt").transform(X), expected)
        model.set_params(max_iterations=5).fit(X[:, :2])
        assert model.n_features_ == 2
        np.testing.assert_array_equal(
            model.transform(X[:, :2]), ours().fit(X[:, :2]).transform(X[:, :2])
        )

    def test_and_goes_on_where_it_stopped(self):
        model = ours(max_iterations=100)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, LINE, callback=interrupt, callback_frequency=1)
        model.set_params(max_iterations=6).partial_fit(X, LINE)
        through = ours(max_iterations=10).fit(X, LINE)
        np.testing.assert_array_equal(model.transform(X), through.transform(X))

    @pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
    def test_a_real_signal_in_another_process(self, tmp_path):
        code = (
            "import sys, numpy as np\n"
            "from grevy import CEBRA\n"
            "X = np.random.default_rng(0).normal(size=(300, 6))\n"
            "model = CEBRA(max_iterations=10**7, batch_size=16, device='cpu', seed=0)\n"
            "tell = lambda step, solver: print('going', flush=True) if step == 20 else None\n"
            "try:\n"
            "    model.fit(X, callback=tell, callback_frequency=20)\n"
            "except KeyboardInterrupt:\n"
            "    model.save(sys.argv[1])\n"
            "    sys.exit(42)\n"
        )
        path = tmp_path / "model.pt"
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout.readline() == "going\n"
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 42
        finally:
            process.kill()
            process.stdout.close()
        stopped = CEBRA.load(path)
        assert stopped.n_steps_ == len(stopped.solver_.history) > 20
        data = np.random.default_rng(0).normal(size=(300, 6))
        options = {"batch_size": 16, "device": "cpu", "seed": 0}
        again = CEBRA(max_iterations=stopped.n_steps_, **options).fit(data)
        np.testing.assert_array_equal(stopped.transform(data), again.transform(data))


# --- row 3: partial_fit ----------------------------------------------------------------------


class TestRow3PartialFit:
    @fault
    def test_cebra_trains_on_the_first_data_again(self, tmp_path):
        model = plain().partial_fit(X, LINE)
        loader = model.state_[2]
        model.partial_fit(X2, LINE[::-1].copy())
        assert model.state_[2] is loader
        np.testing.assert_array_equal(loader.dataset.neural.numpy(), X)
        model.save(str(tmp_path / "model.pt"))
        loaded = cebra.CEBRA.load(str(tmp_path / "model.pt"))
        loaded.partial_fit(X, LINE)
        assert len(loaded.solver_.history) == 5  # from scratch: the ten before are gone

    def test_ours_trains_on_what_it_is_given_also_after_load(self, tmp_path):
        start = ours().partial_fit(X, LINE)
        start.save(tmp_path / "model.pt")
        results = []
        for data in (X, X2):
            loaded = CEBRA.load(tmp_path / "model.pt").partial_fit(data, LINE)
            kept = pickle.loads(pickle.dumps(start)).partial_fit(data, LINE)
            np.testing.assert_array_equal(loaded.transform(X), kept.transform(X))
            assert len(loaded.solver_.history) == loaded.n_steps_ == 10
            results.append(loaded.transform(X))
        assert (results[0] != results[1]).any()
        through = ours(max_iterations=10).fit(X, LINE)
        np.testing.assert_array_equal(results[0], through.transform(X))


# --- row 4: labels dropped or taken for something else ---------------------------------------


class TestRow4Labels:
    @fault
    def test_cebra_drops_booleans_and_makes_integers_continuous(self):
        from cebra.integrations.sklearn.dataset import SklearnDataset

        dropped = SklearnDataset(X, (KLASS > 0,))
        assert dropped.discrete_index is None
        assert dropped.continuous_index is None
        changed = SklearnDataset(X, (KLASS.astype(object),))
        assert changed.discrete_index is None
        assert changed.continuous_index is not None

    @pytest.mark.parametrize(
        "given", [KLASS > 0, KLASS, KLASS.astype(object), KLASS.astype(np.uint8), KLASS.astype(str)]
    )
    def test_ours_takes_them_as_classes(self, given):
        (recording,), _ = gather_recordings(X, (given,))
        assert recording.labels[0].kind == "discrete"
        np.testing.assert_array_equal(
            recording.labels[0].unit_values.astype(str), np.asarray(given).astype(str)
        )
        ours().fit(X, given)

    @pytest.mark.parametrize("given", [[1, "a"], [1, 2.5], [None, 1]])
    def test_or_says_that_they_are_ambiguous(self, given):
        with pytest.raises(GrevyError, match="astype"):
            ours().fit(X, np.array(given * 150, dtype=object))


# --- rows 5 and 6: the nearest label ---------------------------------------------------------


def wrong_share(found, labels, queries):
    distance = np.abs(labels[:, None] - queries[None, :])
    right = distance.min(axis=0)
    return (distance[found, np.arange(len(queries))] > right * (1 + 1e-9)).mean()


@pytest.mark.parametrize("offset", [100.0, 1.7e9])
class TestRow5Offsets:
    def problem(self, offset):
        rng = np.random.default_rng(1)
        labels = rng.uniform(0, 1, 10_000)
        queries = labels[:500] + rng.normal(0, 0.001, 500)
        return labels, queries, offset

    @fault
    def test_cebra_finds_wrong_neighbours(self, offset):
        labels, queries, offset = self.problem(offset)
        index = cebra.distributions.ContinuousIndex(
            torch.from_numpy((labels + offset).astype(np.float32)[:, None])
        )
        found = index.search(torch.from_numpy((queries + offset).astype(np.float32)[:, None]))
        assert wrong_share(found.numpy(), labels, queries) > 0.5

    def test_ours_finds_the_right_ones(self, offset):
        from grevy.engine.sampling.neighbours import build_index, nearest

        labels, queries, offset = self.problem(offset)
        shifted, asked = labels + offset, queries + offset
        index = build_index(shifted[:, None], np.arange(10_000), np.zeros(1, bool))
        found = nearest(index, asked[:, None], np.random.default_rng(0))
        assert wrong_share(found, shifted, asked) == 0


class TestRow6Ties:
    position = np.repeat(np.linspace(0, 1, 21), 480)[np.random.default_rng(2).permutation(10_080)]

    @fault
    def test_cebra_uses_one_sample_for_each_value(self):
        sampler = cebra.distributions.TimedeltaDistribution(
            torch.from_numpy(self.position.astype(np.float32)[:, None])
        )
        found = [sampler.sample_conditional(sampler.sample_prior(500)) for _ in range(60)]
        assert len(torch.cat(found).unique()) <= 21

    def test_ours_uses_nearly_all(self):
        drawn = batches_of([continuous(self.position)], "time_delta", n_steps=300)
        # 60 000 draws: were all 10 080 alike, 0.25 % would be missed. The values in the middle are
        # drawn more often than those at the ends, hence the wider bound.
        assert len(np.unique(drawn.positive)) > 0.85 * 10_080


# --- row 7 and 18: codes of classes ----------------------------------------------------------


class TestRow7Codes:
    directions = np.repeat(np.arange(8) * 45, 100)

    @fault
    def test_cebra_puts_the_draws_on_few_samples(self):
        prior = cebra.distributions.DiscreteUniform(torch.from_numpy(self.directions))
        drawn = np.concatenate([prior.sample_prior(500).numpy() for _ in range(20)])
        counts = np.sort(np.bincount(drawn, minlength=800))[::-1]
        assert counts[:8].sum() > 0.9 * len(drawn)

    @fault
    def test_cebra_favours_one_of_two(self):
        np.random.seed(0)  # noqa: NPY002
        two = np.repeat([1, 2], 400)
        prior = cebra.distributions.DiscreteUniform(torch.from_numpy(two))
        drawn = np.concatenate([prior.sample_prior(500).numpy() for _ in range(20)])
        assert abs((two[drawn] == 1).mean() - 0.5) > 0.1

    @pytest.mark.parametrize("codes", [[0, 45, 90, 135, 180, 225, 270, 315], [1, 2], ["l", "r"]])
    def test_ours_draws_every_class_and_sample_alike(self, codes):
        column = np.repeat(codes, 240 // len(codes) * np.r_[2, np.ones(len(codes) - 1, int)])
        x = continuous(np.linspace(0, 1, len(column)), "x")
        drawn = batches_of([discrete(column), x], "time_delta", prior="uniform")
        share = [(column[drawn.reference] == code).mean() for code in codes]
        np.testing.assert_allclose(share, 1 / len(codes), atol=5 * 0.5 / 100)
        counts = np.bincount(drawn.reference.ravel(), minlength=len(column))
        assert counts.min() > 0
        assert counts.max() < 4 * np.median(counts)


class TestRow18AnyCodes:
    @fault
    def test_cebra_fails_on_negative_codes(self):
        with pytest.raises(ValueError, match="negative"):
            plain().fit(X, np.where(KLASS == 0, -1, KLASS))

    @fault
    def test_cebra_needs_memory_for_every_code_up_to_the_largest(self):
        tracemalloc.start()
        cebra.distributions.DiscreteUniform(torch.tensor([0, 10**6, 5, 10**6]))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak > 10 * 10**6  # grows with the code: 64 bytes and more for each up to 3e7

    @pytest.mark.parametrize("codes", [[-1, 0, 2], [0, 5, 30_000_000], [-(2**60), 0, 2**60]])
    def test_ours_takes_any(self, codes):
        column = np.array(codes)[KLASS]
        tracemalloc.start()
        drawn = batches_of([discrete(column)], "discrete", n_steps=5)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5 * 10**6
        np.testing.assert_array_equal(column[drawn.reference], column[drawn.positive])
        by_code = ours().fit(X, column).transform(X)
        np.testing.assert_array_equal(by_code, ours().fit(X, KLASS).transform(X))


# --- row 8: a class that one session lacks ---------------------------------------------------


class TestRow8MissingClass:
    first = np.repeat([0, 1, 2], 100)
    # The middle class, or the last one, is missing from the second session.
    seconds = (np.repeat([0, 2], 150), np.repeat([0, 1], 150))

    @fault
    @pytest.mark.parametrize("case", [0, 1])
    def test_cebra_raises_or_pairs_other_classes(self, case):
        from cebra.distributions.multisession import DiscreteMultisessionSampler
        from cebra.integrations.sklearn.dataset import SklearnDataset

        labels = (self.first, self.seconds[case])
        data = cebra.data.DatasetCollection(
            *[SklearnDataset(x, (y,)) for x, y in zip((X, X2), labels, strict=True)]
        )
        sampler = DiscreteMultisessionSampler(data)
        reference = sampler.sample_prior(200)
        try:
            positive, _, back = sampler.sample_conditional(reference)
        except IndexError:
            return
        given = np.concatenate([y[r] for y, r in zip(labels, reference, strict=True)])
        found = np.concatenate([y[p] for y, p in zip(labels, positive, strict=True)])[back]
        assert (given != found).any()

    @pytest.mark.parametrize("case", [0, 1])
    def test_ours_always_shares_the_class(self, case):
        labels = (self.first, self.seconds[case])
        recordings, _ = gather_recordings([X, X2], (list(labels),))
        sampler = make_sampler(recordings, 0, 1, SamplingPlan("discrete", batch_size=200))
        drawn = draw(sampler, 20, np.random.default_rng(0))
        klass = np.concatenate(labels)
        np.testing.assert_array_equal(klass[drawn.reference], klass[drawn.positive])
        missing = ({0, 1, 2} - set(labels[1].tolist())).pop()
        lonely = klass[drawn.reference] == missing
        assert lonely.any()
        assert (drawn.positive[lonely] < 300).all()
        ours().fit([X, X2], list(labels))


# --- row 9: code in model files --------------------------------------------------------------


class Planted:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "code ran")


class TestRow9CodeInFiles:
    @fault
    def test_cebra_runs_it_in_spite_of_weights_only(self, tmp_path):
        torch.save({"args": Planted(tmp_path / "ran")}, tmp_path / "model.pt")
        with pytest.raises(ValueError, match="Missing keys"):  # too late: it has run
            cebra.CEBRA.load(str(tmp_path / "model.pt"), weights_only=True)
        assert (tmp_path / "ran").exists()

    @pytest.mark.parametrize("options", [{}, {"weights_only": True}])
    def test_ours_refuses(self, options, tmp_path):
        torch.save({"args": Planted(tmp_path / "ran")}, tmp_path / "model.pt")
        with pytest.raises(GrevyError, match="trust"):
            CEBRA.load(tmp_path / "model.pt", **options)
        assert not (tmp_path / "ran").exists()


# --- row 12: trials --------------------------------------------------------------------------


class TestRow12Trials:
    trial = np.repeat(np.arange(100), 100)

    @fault
    def test_cebra_pairs_and_windows_cross_borders(self):
        sampler = cebra.distributions.TimeContrastive(num_samples=10_000, time_offset=10)
        reference = sampler.sample_prior(5000)
        positive = sampler.sample_conditional(reference)
        crossing = self.trial[reference] != self.trial[positive]
        assert crossing.mean() == pytest.approx(0.1, abs=0.03)
        first, last = reference.numpy() - 18, reference.numpy() + 17
        inside = (first >= 0) & (last < 10_000)
        across = self.trial[first[inside]] != self.trial[last[inside]]
        assert across.mean() == pytest.approx(0.35, abs=0.04)

    @pytest.mark.parametrize("conditional", ["time", "time_delta"])
    def test_ours_never_do(self, conditional):
        label = continuous(np.random.default_rng(0).normal(size=10_000))
        recording = make_recording(np.ones((10_000, 1)), [label], segments=self.trial)
        plan = SamplingPlan(conditional, time_offsets=(10,), batch_size=500, hybrid=True)
        sampler = make_sampler([recording], 18, 18, plan)
        drawn = draw(sampler, 10, np.random.default_rng(0))
        for positions in (drawn.reference, drawn.positive, drawn.negative, drawn.time_positive):
            np.testing.assert_array_equal(self.trial[positions - 18], self.trial[positions + 17])
        np.testing.assert_array_equal(drawn.time_positive - drawn.reference, 10)
        np.testing.assert_array_equal(self.trial[drawn.time_positive], self.trial[drawn.reference])


# --- row 13, the sampling half: angles -------------------------------------------------------


class TestRow13Angles:
    angle = np.random.default_rng(3).uniform(0, TAU, 4000)

    def share_across(self, reference, positive):
        """Of references within 0.2 rad below the wrap, how many find their positive above it."""
        late = self.angle[reference] > TAU - 0.1
        return (self.angle[positive[late]] < np.pi).mean()

    @fault
    def test_cebra_finds_none_across_the_wrap(self):
        sampler = cebra.distributions.DeltaNormalDistribution(
            torch.from_numpy(self.angle.astype(np.float32)[:, None]), delta=0.3
        )
        reference = sampler.sample_prior(4000)
        positive = sampler.sample_conditional(reference)
        assert self.share_across(reference.numpy(), positive.numpy()) == 0

    def test_ours_finds_as_many_as_there_should_be(self):
        label = grevy.circular(self.angle)
        drawn = batches_of([label], "delta_normal", batch_size=4000, n_steps=10, delta=0.3)
        share = self.share_across(drawn.reference.ravel(), drawn.positive.ravel())
        # Mean of the normal tail beyond 0 to 0.1 at sd 0.3: 43.4 %; about 640 draws.
        assert share == pytest.approx(0.434, abs=0.1)


# --- row 20: what `cebra` refuses ------------------------------------------------------------

REFUSED = {
    "hybrid with classes": ((X, KLASS), {"hybrid": True}),
    "hybrid with mixed labels": ((X, LINE, KLASS), {"hybrid": True}),
    "whole data with classes": ((X, KLASS), {"batch_size": None}),
    "whole data with mixed labels": ((X, LINE, KLASS), {"batch_size": None}),
    "whole data, hybrid": ((X, LINE), {"batch_size": None, "hybrid": True}),
    "several with mixed labels": (([X, X2], [LINE, LINE], [KLASS, KLASS]), {}),
    "several, hybrid": (([X, X2], [LINE, LINE]), {"hybrid": True}),
    "several, whole data": (([X, X2], [LINE, LINE]), {"batch_size": None}),
    "several time offsets": ((X, LINE), {"time_offsets": (1, 5)}),
    "two discrete labels": ((X, KLASS, KLASS[::-1].copy()), {}),
}


@pytest.mark.parametrize("case", REFUSED)
class TestRow20Refused:
    @fault
    def test_cebra_refuses(self, case):
        data, options = REFUSED[case]
        model = plain(**{"conditional": "time_delta", **options})
        with pytest.raises((ValueError, NotImplementedError, TypeError, RuntimeError)):
            model.fit(*data)

    def test_ours_trains(self, case):
        data, options = REFUSED[case]
        model = ours(max_iterations=60, learning_rate=3e-3, output_dimension=4, **options).fit(
            *data
        )
        session = 0 if isinstance(data[0], list) else None
        assert model.transform(X, session_id=session).shape == (300, 4)
        history = model.solver_.history
        assert np.isfinite(history).all()
        assert np.mean(history[-10:]) < np.mean(history[:3])


class TestRow20Negatives:
    @fault
    def test_cebra_has_as_many_negatives_as_references(self):
        with pytest.raises(TypeError):
            cebra.CEBRA(num_negatives=64)

    def test_ours_has_as_many_as_asked(self):
        model = ours(num_negatives=64).fit(X, LINE)
        assert model.solver_.history[0] == pytest.approx(np.log(64), abs=0.5)


# --- row 21: parameters ignored --------------------------------------------------------------


class TestRow21IgnoredParameters:
    @fault
    def test_cebra_trains_adam_for_sgd(self):
        model = plain().set_params(optimizer="sgd").fit(X)
        assert isinstance(model.solver_.optimizer, torch.optim.Adam)

    @fault
    def test_cebra_ignores_delta_with_mixed_labels(self):
        model = plain(conditional="delta_normal", delta=0.1)
        model.partial_fit(X, LINE, KLASS)
        assert isinstance(
            model.state_[2].distribution, cebra.distributions.MixedTimeDeltaDistribution
        )

    def test_ours_refuses_another_optimiser(self):
        with pytest.raises(GrevyError, match="unknown optimizer 'sgd'"):
            ours().set_params(optimizer="sgd").fit(X)

    @pytest.mark.parametrize("delta", [1e-6, 1.0])
    def test_ours_honours_delta_with_mixed_labels(self, delta):
        recording = make_recording(X, [continuous(LINE, "x"), discrete(KLASS, "c")])
        plan = SamplingPlan("delta_normal", delta=delta, prior="uniform", batch_size=100)
        sampler = make_sampler([recording], 0, 1, plan)
        (_, batch), *_ = batches(sampler, 0, 0, 1)
        np.testing.assert_array_equal(KLASS[batch.reference], KLASS[batch.positive])
        same = (batch.reference == batch.positive).mean()
        assert same == 1 if delta < 1e-3 else same < 0.9
        models = [
            ours(conditional="delta_normal", delta=d).fit(X, LINE, KLASS) for d in (delta, 30.0)
        ]
        assert models[0].solver_.history != models[1].solver_.history

    def test_ours_refuses_a_delta_that_would_have_no_effect(self):
        with pytest.raises(GrevyError, match="delta"):
            ours(delta=0.1).fit(X, LINE, KLASS)
