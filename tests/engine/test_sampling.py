"""Batches: every draw of tiny problems held to an independent oracle, invariants on larger ones."""

import itertools
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from grevy.data.joining import align_labels
from grevy.data.labels import TAU, circular, continuous, discrete
from grevy.data.recording import make_recording
from grevy.engine.sampling.drawing import draw
from grevy.engine.sampling.plan import SamplingPlan
from grevy.engine.sampling.preparation import fitting_positions, make_sampler
from grevy.errors import GrevyError

# Chance that a right sampler fails one of the frequency tests; all seeds are fixed.
FALSE_ALARM = 1e-6


def recording(length, labels=(), segments=None, seed=0):
    neural = np.random.default_rng(seed).normal(size=(length, 2)).astype(np.float32)
    return make_recording(neural, labels, segments=segments)


def sampled(recordings, plan, left=0, right=1, n_steps=200, seed=0):
    sampler = make_sampler(align_labels(recordings), left, right, plan)
    return sampler, draw(sampler, n_steps, np.random.default_rng(seed))


# --- an oracle in plain Python: what may be drawn, and how often -----------------------------


class World:
    """The positions of some recordings, told one by one."""

    def __init__(self, recordings, left, right):
        self.session, self.segment, self.klass, self.label = [], [], [], []
        self.circular = []
        valid = []
        for number, rec in enumerate(recordings):
            start = len(self.session)
            inside = {}
            for s, (low, high) in enumerate(rec.segments.tolist()):
                inside.update(dict.fromkeys(range(low, high), s))
            for t in range(len(rec)):
                self.session.append(number)
                self.segment.append((number, inside[t]) if t in inside else None)
                self.klass.append(
                    tuple(x.unit_values[t].item() for x in rec.labels if x.kind == "discrete")
                )
                row = []
                for x in rec.labels:
                    if x.kind == "continuous":
                        row += [(float(v), False) for v in x.values[t]]
                    elif x.kind == "circular":
                        row.append((float(x.values[t]), True))
                self.label.append([v for v, _ in row])
                self.circular = [turn for _, turn in row]
                window = range(t - left, t + right)
                if len({inside.get(u) for u in window}) == 1 and t in inside:
                    valid.append(start + t)
        self.valid = valid
        self.n_sessions = len(recordings)

    def is_pair(self, t, k):
        other = t + k
        return (
            other < len(self.session)
            and self.segment[t] is not None
            and self.segment[t] == self.segment[other]
        )

    def distance(self, a, b):
        total = 0.0
        for x, y, turn in zip(a, b, self.circular, strict=True):
            apart = abs(x - y) % TAU if turn else abs(x - y)
            total += (min(apart, TAU - apart) if turn else apart) ** 2
        return total

    def nearest(self, query, among):
        best = min(self.distance(query, self.label[t]) for t in among)
        tied = [t for t in among if self.distance(query, self.label[t]) <= best + 1e-12]
        return {t: 1 / len(tied) for t in tied}


def pools(world, plan):
    """For each recording, the possible references."""
    good = set(world.valid)

    def partner(t, k):
        shares = plan.conditional != "time" or world.klass[t] == world.klass[t + k]
        return t + k in good and shares

    in_time = plan.conditional == "time" or plan.hybrid
    partners = {
        t: [k for k in plan.time_offsets if world.is_pair(t, k) and partner(t, k)]
        for t in world.valid
    }
    drawn = [t for t in world.valid if partners[t] or not in_time]
    return [[t for t in drawn if world.session[t] == s] for s in range(world.n_sessions)], partners


def prior(world, plan, pool):
    classes = defaultdict(list)
    for t in pool:
        classes[world.klass[t] if plan.prior == "uniform" else 0].append(t)
    return {t: 1 / len(classes) / len(same) for same in classes.values() for t in same}


def targets(world, t):
    """Where the positive of t is looked for, with probabilities."""
    same = [u for u in world.valid if world.klass[u] == world.klass[t]]
    holders = sorted({world.session[u] for u in same})
    chances = Counter()
    for s in range(world.n_sessions):
        if s in holders:
            chances[s] += 1 / world.n_sessions
        else:
            for holder in holders:
                chances[holder] += 1 / world.n_sessions / len(holders)
    return [([u for u in same if world.session[u] == s], p) for s, p in chances.items()]


def changes(world, plan):
    for k in plan.time_offsets:
        starts = [t for t in range(len(world.session)) if world.is_pair(t, k)]
        for t in starts:
            step = [b - a for a, b in zip(world.label[t], world.label[t + k], strict=True)]
            yield step, 1 / len(plan.time_offsets) / len(starts)


def positives(world, plan, t, partners):
    if plan.conditional == "time":
        return {t + k: 1 / len(partners[t]) for k in partners[t]}
    found = Counter()
    for among, p in targets(world, t):
        if plan.conditional == "discrete":
            for u in among:
                found[u] += p / len(among)
            continue
        for step, q in changes(world, plan):
            query = [a + b for a, b in zip(world.label[t], step, strict=True)]
            for u, r in world.nearest(query, among).items():
                found[u] += p * q * r
    return found


def expected_pairs(world, plan):
    starts, partners = pools(world, plan)
    table = Counter()
    for pool in starts:
        for t, p in prior(world, plan, pool).items():
            for u, q in positives(world, plan, t, partners).items():
                table[t, u] += p * q / world.n_sessions
    return table


def assert_drawn_as(counts, expected):
    """Exactly what is possible was drawn, and as often as it should be (chi-square)."""
    total = sum(counts.values())
    assert sum(expected.values()) == pytest.approx(1)
    assert set(counts) <= set(expected)
    rare = [cell for cell, p in expected.items() if p * total < 8]
    common = [cell for cell, p in expected.items() if p * total >= 8]
    never = [cell for cell in common if not counts[cell] and expected[cell] * total > 40]
    assert not never
    observed = [counts[cell] for cell in common] + [sum(counts[cell] for cell in rare)] * bool(rare)
    hoped = [expected[cell] * total for cell in common]
    hoped += [sum(expected[cell] for cell in rare) * total] * bool(rare)
    statistic = sum((o - e) ** 2 / e for o, e in zip(observed, hoped, strict=True))
    assert statistic < chi2.isf(FALSE_ALARM, max(1, len(observed) - 1))


NUMBERS = [0.0, 1.0, 1.0, 3.0, 2.5, 0.5, 1.5, 3.0, 4.0, 0.0, 2.0, 1.0]  # exact sums, many ties
ANGLES = [0.1, 6.1, 0.45, 5.2, 3.3, 2.17, 1.61, 6.25, 0.02, 4.4, 5.83, 2.9]
NAMES = list("aabbabaccbba")
NUMBER, ANGLE = continuous(NUMBERS, "n"), circular(ANGLES, name="a")
NAME = discrete(NAMES, "c")
PLANE = continuous(np.stack([NUMBERS, NUMBERS[::-1]], 1), "p")
HALVES, THREE = [[0, 6], [6, 12]], [[0, 4], [5, 8], [8, 12]]


def one(*labels, segments=None):
    return [recording(12, labels, segments)]


def two(length=7):
    short = [x.take(slice(0, length)) for x in (NUMBER, NAME)]
    only_ab = discrete(list("ababbab"), "c")
    return [
        recording(12, (NUMBER, NAME), HALVES),
        recording(length, (short[0], only_ab)),
    ]


def with_kinds(recordings, *kinds):
    return [
        make_recording(r.neural, [x for x in r.labels if x.kind in kinds], segments=r.segments)
        for r in recordings
    ]


K, DELTA, UNIFORM = "time_offsets", "time_delta", {"prior": "uniform"}
TINY = {
    "time": (one(), "time", {}, (0, 1)),
    "time, window, segments": (one(segments=THREE), "time", {K: (1,)}, (1, 1)),
    "time, 3 offsets": (one(segments=HALVES), "time", {K: (1, 2, 3)}, (0, 2)),
    "time, classes": (one(NAME, segments=HALVES), "time", {K: (1, 2)}, (0, 1)),
    "time, classes, uniform": (one(NAME), "time", {K: (2,), **UNIFORM}, (0, 1)),
    "delta": (one(NUMBER), DELTA, {}, (0, 1)),
    "delta, segments": (one(NUMBER, segments=THREE), DELTA, {K: (2,)}, (1, 1)),
    "delta, a hole": (one(NUMBER, segments=[[0, 3], [7, 12]]), DELTA, {}, (0, 1)),
    "delta, 3 offsets": (one(NUMBER, segments=HALVES), DELTA, {K: (1, 2, 3)}, (1, 2)),
    "delta, plane": (one(PLANE), DELTA, {K: (1, 3)}, (0, 1)),
    "delta, angle": (one(ANGLE), DELTA, {}, (0, 1)),
    "delta, angle and line": (one(ANGLE, NUMBER), DELTA, {}, (0, 2)),
    "mixed": (one(NAME, NUMBER), DELTA, {}, (0, 1)),
    "mixed, uniform": (one(NAME, NUMBER, segments=HALVES), DELTA, {**UNIFORM}, (0, 1)),
    "classes": (one(NAME), "discrete", {}, (0, 1)),
    "classes, uniform": (one(NAME, segments=THREE), "discrete", {**UNIFORM}, (0, 2)),
    "two discrete labels": (
        one(NAME, discrete([0, 0, 1] * 4, "d")), "discrete", {**UNIFORM}, (0, 1)
    ),
    "hybrid": (one(NUMBER, segments=HALVES), DELTA, {"hybrid": True, K: (2,)}, (1, 1)),
    "hybrid, classes": (one(NAME), "discrete", {"hybrid": True, K: (1, 3)}, (0, 1)),
    "two recordings": (with_kinds(two(), "continuous"), DELTA, {}, (0, 2)),
    "two recordings, 2 offsets": (with_kinds(two(), "continuous"), DELTA, {K: (1, 3)}, (1, 1)),
    "two recordings, classes": (with_kinds(two(), "discrete"), "discrete", {}, (0, 1)),
    "two recordings, uniform": (with_kinds(two(), "discrete"), "discrete", {**UNIFORM}, (0, 1)),
    "two recordings, mixed": (two(), DELTA, {**UNIFORM}, (0, 1)),
}  # fmt: skip


@pytest.mark.parametrize("case", TINY)
def test_pairs_are_drawn_as_the_oracle_says(case):
    recordings, conditional, options, (left, right) = TINY[case]
    recordings = list(align_labels(recordings))
    plan = SamplingPlan(conditional, batch_size=40, **options)
    world = World(recordings, left, right)
    _, batches = sampled(recordings, plan, left, right, n_steps=1500, seed=5)
    pairs = zip(batches.reference.ravel().tolist(), batches.positive.ravel().tolist(), strict=True)
    assert_drawn_as(Counter(pairs), expected_pairs(world, plan))

    starts, partners = pools(world, plan)
    alone = Counter()
    for pool in starts:
        alone.update({t: p / world.n_sessions for t, p in prior(world, plan, pool).items()})
    assert_drawn_as(Counter(batches.negative.ravel().tolist()), alone)
    if plan.hybrid:
        later = Counter()
        for t, p in alone.items():
            later.update({(t, t + k): p / len(partners[t]) for k in partners[t]})
        pairs = zip(
            batches.reference.ravel().tolist(), batches.time_positive.ravel().tolist(), strict=True
        )
        assert_drawn_as(Counter(pairs), later)
    else:
        assert batches.time_positive is None


@pytest.mark.parametrize("kind", ["line", "circle"])
def test_delta_normal_draws_gaussian_changes(kind):
    """The chance of a label is that of the normal distribution over its neighbourhood."""
    if kind == "line":
        values, delta = np.array([0.0, 1.0, 1.5, 3.0, 7.0, 8.0]), 1.3
        label, turns = continuous(values), [0.0]
        middle = (values[1:] + values[:-1]) / 2
        low, high = np.r_[-np.inf, middle], np.r_[middle, np.inf]
    else:
        values, delta = np.array([0.2, 1.0, 2.0, 4.0, 5.5, 6.2]), 0.8
        label, turns = circular(values), TAU * np.arange(-3, 4)
        around = np.r_[values[-1] - TAU, values, values[0] + TAU]
        middle = (around[1:] + around[:-1]) / 2
        low, high = middle[:-1], middle[1:]
    expected = Counter()
    for t, value in enumerate(values):
        for u in range(6):
            for turn in turns:
                chance = np.diff(norm.cdf([low[u] + turn, high[u] + turn], value, delta))[0]
                expected[t, u] += chance / 6
    plan = SamplingPlan("delta_normal", delta=delta, batch_size=50)
    _, batches = sampled([recording(6, [label])], plan, n_steps=2000, seed=1)
    pairs = zip(batches.reference.ravel().tolist(), batches.positive.ravel().tolist(), strict=True)
    assert_drawn_as(Counter(pairs), expected)


def test_delta_normal_keeps_the_class():
    plan = SamplingPlan("delta_normal", delta=2.0, batch_size=30, prior="uniform")
    world = World(one(NAME, NUMBER), 0, 1)
    _, batches = sampled(one(NAME, NUMBER), plan)
    for t, u in zip(batches.reference.ravel(), batches.positive.ravel(), strict=True):
        assert world.klass[t] == world.klass[u]


def changes_exist(world, k):
    return any(world.is_pair(t, k) for t in range(len(world.session)))


def lacks_partners(world, plan):
    """Whether a time offset has no pair of references at all."""
    _, partners = pools(world, plan)
    return any(all(k not in found for found in partners.values()) for k in plan.time_offsets)


# --- invariants ------------------------------------------------------------------------------


@st.composite
def problems(draw):
    """Recordings with segments and labels of any kind, a plan that fits, and a receptive field."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    left, right = draw(st.integers(0, 4)), draw(st.integers(1, 4))
    kinds = draw(st.sets(st.sampled_from(["continuous", "circular", "discrete"])))
    n_sessions = draw(st.integers(1, 3)) if kinds else 1
    conditionals = ["time"] if n_sessions == 1 else []
    if kinds & {"continuous", "circular"}:
        conditionals += ["time_delta", "delta_normal"]
    if kinds == {"discrete"}:
        conditionals = ["discrete"]
    plan = SamplingPlan(
        conditional=draw(st.sampled_from(conditionals)),
        time_offsets=tuple(draw(st.sets(st.integers(1, 4), min_size=1, max_size=3))),
        delta=1.0,
        prior=draw(st.sampled_from(["empirical", "uniform"])),
        batch_size=draw(st.integers(1, 20)),
        num_negatives=draw(st.one_of(st.none(), st.integers(1, 30))),
        hybrid=draw(st.booleans()),
    )
    recordings = []
    for _ in range(n_sessions):
        sizes = rng.integers(1, 30, 5)
        sizes[0] = 30  # one that surely holds a window and a pair
        holes = rng.integers(0, 4, 5)
        starts = np.cumsum(holes) + np.r_[0, np.cumsum(sizes)[:-1]]
        length = int(starts[-1] + sizes[-1] + 2)
        made = {
            "continuous": lambda n: continuous(rng.integers(-8, 8, (n, 2)) / 4, "x"),
            "circular": lambda n: circular(rng.uniform(0, 360, n), 360, "a"),
            "discrete": lambda n: discrete(np.r_[0, 1, rng.integers(0, 3, n - 2)] * 45 - 45, "c"),
        }
        labels = [made[kind](length) for kind in sorted(kinds)]
        recordings.append(recording(length, labels, np.stack([starts, starts + sizes], 1)))
    return list(align_labels(recordings)), plan, left, right


@settings(max_examples=120, deadline=None)
@given(problems())
def test_what_always_holds(problem):
    recordings, plan, left, right = problem
    world = World(recordings, left, right)
    try:
        sampler = make_sampler(recordings, left, right, plan)
    except GrevyError:  # right only where a recording offers no reference, or no change, at all
        starts, _ = pools(world, plan)
        without = [k for k in plan.time_offsets if not changes_exist(world, k)]
        searched = plan.conditional == "time_delta"
        in_time = plan.conditional == "time" or plan.hybrid
        lacking = in_time and lacks_partners(world, plan)
        assert not all(starts) or (searched and without) or lacking
        return
    batches = draw(sampler, 5, np.random.default_rng(0))
    n, size = len(recordings), plan.batch_size
    assert batches.reference.shape == batches.positive.shape == (5, n * size)
    assert batches.negative.shape == (5, n * (plan.num_negatives or size))
    assert sampler.n_references == n * size
    assert sampler.n_negatives == batches.negative.shape[1]
    valid = set(world.valid)
    drawn = [batches.reference, batches.positive, batches.negative]
    drawn += [batches.time_positive] * plan.hybrid
    for positions in drawn:
        assert set(positions.ravel().tolist()) <= valid
    session = np.array(world.session)
    owner = np.repeat(np.arange(n), size)
    np.testing.assert_array_equal(session[batches.reference], np.tile(owner, (5, 1)))
    absent = 0
    for step in range(5):
        batch = batches.at(step)
        for t, u in zip(batch.reference, batch.positive, strict=True):
            assert world.klass[t] == world.klass[u]
            if plan.conditional == "time":
                assert u - t in plan.time_offsets
                assert world.segment[t] == world.segment[u]
        if plan.hybrid:
            apart = batch.time_positive - batch.reference
            assert set(apart.tolist()) <= set(plan.time_offsets)
            for t, u in zip(batch.reference, batch.time_positive, strict=True):
                assert world.segment[t] == world.segment[u]
        held = {(world.session[t], world.klass[t]) for t in world.valid}
        wanted = {world.klass[t] for t in batch.reference}
        absent = sum((s, c) not in held for s in range(n) for c in wanted)
        if not absent:
            counts = np.bincount(session[batch.positive], minlength=n)
            np.testing.assert_array_equal(counts, size)


def moved(label, factor, offset):
    return continuous(label.values * factor + offset, label.name)


@settings(max_examples=60, deadline=None)
@given(problems(), st.sampled_from([2.0**-20, 0.5, 4.0, 2.0**20]), st.sampled_from([0.0, 1024.0]))
def test_units_and_offsets_of_labels_change_nothing(problem, factor, offset):
    """Bit for bit: the labels are multiples of 1/4, so that both are exact."""
    recordings, plan, left, right = problem
    if any(label.kind == "circular" for rec in recordings for label in rec.labels):
        factor = 1.0  # an angle has its unit; a line beside it keeps its own
    if plan.conditional == "delta_normal":
        offset = 0.0  # adding 1024 rounds a Gaussian query, which may move it over a border
    other = [
        make_recording(
            rec.neural,
            [moved(x, factor, offset) if x.kind == "continuous" else x for x in rec.labels],
            segments=rec.segments,
        )
        for rec in recordings
    ]
    scaled = SamplingPlan(**{**vars(plan), "delta": plan.delta * factor})
    try:
        first = make_sampler(recordings, left, right, plan)
    except GrevyError:
        return
    second = make_sampler(other, left, right, scaled)
    a, b = (draw(s, 4, np.random.default_rng(9)) for s in (first, second))
    np.testing.assert_array_equal(a.reference, b.reference)
    np.testing.assert_array_equal(a.positive, b.positive)
    np.testing.assert_array_equal(a.negative, b.negative)


CODES = {
    "gaps": [0, 45, 90, 270, 315],
    "from one": [1, 2],
    "negative": [-7, -1, 0, 3],
    "huge": [5, 30_000_000],
    "int64": [-(2**62), 0, 2**62],
    "strings": ["left", "right", "up"],
    "booleans": [False, True],
}


@pytest.mark.parametrize("prior_kind", ["empirical", "uniform"])
@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("conditional", ["discrete", "time_delta"])
def test_class_frequencies_are_as_asked(codes, prior_kind, conditional):
    values = CODES[codes]
    weights = np.arange(1, len(values) + 1)
    column = np.repeat(np.array(values), 10 * weights)
    labels = [discrete(column, "c")]
    if conditional == "time_delta":
        labels.append(continuous(np.linspace(0, 1, len(column)), "x"))
    plan = SamplingPlan(conditional, prior=prior_kind, batch_size=100)
    _, batches = sampled([recording(len(column), labels)], plan, n_steps=300, seed=3)
    share = np.ones(len(values)) if prior_kind == "uniform" else weights
    expected = dict(zip(values, (share / share.sum()).tolist(), strict=True))
    for positions in (batches.reference, batches.negative):
        assert_drawn_as(Counter(column[positions.ravel()].tolist()), Counter(expected))
    np.testing.assert_array_equal(column[batches.reference], column[batches.positive])
    # within a class, every sample is as likely as any other
    inside = batches.reference.ravel()[column[batches.reference.ravel()] == values[-1]]
    members = np.flatnonzero(column == values[-1])
    assert_drawn_as(
        Counter(inside.tolist()), Counter(dict.fromkeys(members.tolist(), 1 / len(members)))
    )


def test_several_time_offsets_are_equally_likely():
    plan = SamplingPlan("time", time_offsets=(1, 5, 20), batch_size=100)
    _, batches = sampled([recording(2000)], plan, n_steps=300, seed=1)
    apart = Counter((batches.positive - batches.reference).ravel().tolist())
    # At the very end of the recording only the shorter offsets are possible.
    middle = Counter(
        (batches.positive - batches.reference)[batches.reference < 1980].ravel().tolist()
    )
    assert_drawn_as(middle, Counter({1: 1 / 3, 5: 1 / 3, 20: 1 / 3}))
    assert sum(apart.values()) == 30_000


@pytest.mark.parametrize("conditional", ["time", "time_delta", "delta_normal", "discrete"])
@pytest.mark.parametrize("hybrid", [False, True])
def test_whole_data_takes_every_position_once(conditional, hybrid):
    labels = {"time": [], "discrete": [NAME]}.get(conditional, [NUMBER])
    plan = SamplingPlan(conditional, delta=1.0, batch_size=None, hybrid=hybrid)
    recordings = [recording(12, labels, HALVES)]
    sampler, batches = sampled(recordings, plan, 1, 1, n_steps=3)
    every = World(recordings, 1, 1).valid
    if conditional == "time" or hybrid:
        every = [t for t in every if t + 1 in every and (t < 6) == (t + 1 < 6)]
    assert sampler.n_references == sampler.n_negatives == len(every)
    for step in range(3):
        batch = batches.at(step)
        np.testing.assert_array_equal(batch.reference, every)
        np.testing.assert_array_equal(np.sort(batch.negative), every)
    assert (batches.negative[0] != batches.negative[1]).any()


def test_whole_data_of_several_recordings():
    plan = SamplingPlan("discrete", batch_size=None)
    _, batches = sampled(with_kinds(two(), "discrete"), plan, n_steps=50)
    np.testing.assert_array_equal(batches.reference[0], np.arange(19))
    assert set((batches.positive >= 12).mean(axis=1)) != {0.0}


@pytest.mark.parametrize("n_sessions", [1, 2])
@pytest.mark.parametrize("batch_size", [3, None])
def test_negatives_may_be_more_or_fewer(n_sessions, batch_size):
    recordings = with_kinds(two(), "continuous")[:n_sessions]
    plan = SamplingPlan("time_delta", batch_size=batch_size, num_negatives=11)
    sampler, batches = sampled(recordings, plan, n_steps=4)
    assert batches.negative.shape == (4, 11 * n_sessions)
    assert sampler.n_negatives == 11 * n_sessions
    owner = (batches.negative >= 12).sum(axis=1)
    np.testing.assert_array_equal(owner, 11 * (n_sessions - 1))


def test_a_class_absent_elsewhere_finds_its_positive_where_it_is():
    first = recording(30, [discrete(["a", "b", "only"] * 10, "c")])
    second = recording(20, [discrete(["a", "b"] * 10, "c")])
    plan = SamplingPlan("discrete", batch_size=64)
    _, batches = sampled([first, second], plan)
    klass = np.array(["a", "b", "only"] * 10 + ["a", "b"] * 10)
    np.testing.assert_array_equal(klass[batches.reference], klass[batches.positive])
    lonely = klass[batches.reference] == "only"
    assert lonely.any()
    assert (batches.positive[lonely] < 30).all()
    assert (batches.positive[~lonely] >= 30).any()


def test_angles_find_positives_across_the_wrap():
    angle = circular(np.linspace(0, TAU, 400, endpoint=False))
    plan = SamplingPlan("delta_normal", delta=0.3, batch_size=500)
    _, batches = sampled([recording(400, [angle])], plan, n_steps=40)
    late = batches.reference >= 395
    share = (batches.positive[late] < 200).mean()
    assert 0.42 < share < 0.52  # 47 % in truth; 4 standard errors on each side


@pytest.mark.parametrize(
    ("conditional", "labels", "options"),
    [
        ("time", [], {}),
        ("time_delta", [NUMBER], {"time_offsets": (1, 2)}),
        ("delta_normal", [ANGLE], {"delta": 0.4}),
        ("discrete", [NAME], {"prior": "uniform"}),
        ("time_delta", [NAME, NUMBER], {"hybrid": True}),
    ],
)
def test_the_same_generator_gives_the_same_batches(conditional, labels, options):
    plan = SamplingPlan(conditional, batch_size=8, **options)
    first, same, other = (sampled(one(*labels), plan, seed=s)[1] for s in (1, 1, 2))
    for name in ("reference", "positive", "negative"):
        np.testing.assert_array_equal(getattr(first, name), getattr(same, name))
        assert (getattr(first, name) != getattr(other, name)).any()


@pytest.mark.parametrize(
    ("segments", "conditional", "offsets", "field", "words"),
    [
        ([[0, 5], [5, 10]], "time", (1,), (3, 3), ["5 time steps", "receptive field of 6"]),
        ([[0, 5], [5, 10]], "time_delta", (1,), (3, 3), ["5 time steps", "offset1-model"]),
        (None, "time", (12,), (0, 1), ["time offset 12"]),
        (None, "time", (5000,), (0, 1), ["time offset 5000"]),
        ([[0, 6], [6, 12]], "time", (6,), (0, 1), ["time offset 6"]),
        ([[0, 6], [6, 12]], "time", (1, 4), (1, 2), ["time offset 4"]),
        ([[0, 6], [6, 12]], "time_delta", (6,), (0, 1), ["time offset 6"]),
    ],
)
def test_what_cannot_be_drawn_is_an_error(segments, conditional, offsets, field, words):
    plan = SamplingPlan(conditional, time_offsets=offsets, batch_size=4)
    with pytest.raises(GrevyError) as caught:
        make_sampler([recording(12, [NUMBER], segments)], *field, plan)
    for word in words:
        assert word in str(caught.value)


def test_a_recording_without_pairs_is_named():
    long, short = recording(12, [NUMBER]), recording(3, [NUMBER.take(slice(0, 3))])
    plan = SamplingPlan("time_delta", time_offsets=(4,), batch_size=4, hybrid=True)
    with pytest.raises(GrevyError, match="recording 1: no pair in time"):
        make_sampler([long, short], 0, 1, plan)


@given(st.integers(0, 5), st.integers(1, 5), st.lists(st.integers(1, 12), min_size=1, max_size=6))
def test_fitting_positions(left, right, sizes):
    stops = list(itertools.accumulate(s + 1 for s in sizes))
    runs = np.array([[stop - size, stop] for stop, size in zip(stops, sizes, strict=True)])
    expected = [
        t for low, high in runs for t in range(low, high) if low <= t - left and t + right <= high
    ]
    np.testing.assert_array_equal(fitting_positions(runs, left, right), expected)
