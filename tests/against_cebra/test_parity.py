"""The same mathematics: our steps and `cebra`'s own solver, from the same weights and batches.

`cebra`'s half is built from its own parts: its solver, criterion and `Batch`, windows cut by its
own data set, `torch.optim.Adam`. In float64 both must agree to many digits after 50 steps; in
float32 within its rounding, which Adam magnifies.
"""

import copy
import itertools

import cebra.data
import cebra.models
import cebra.solver
import numpy as np
import pytest
import torch

from grevy.data.labels import continuous
from grevy.data.recording import make_recording
from grevy.engine.encoding.encoder import Encoder
from grevy.engine.encoding.layout import Layout
from grevy.engine.encoding.models import receptive_field
from grevy.engine.layers.compilation import compile_network
from grevy.engine.loop import batches, run
from grevy.engine.sampling.plan import SamplingPlan
from grevy.engine.sampling.preparation import make_sampler
from grevy.engine.step import Training

STEPS = 50
LENGTH = 90
WINDOWS = Layout(0, LENGTH)
CRITERIA = {
    ("cosine", False): cebra.models.FixedCosineInfoNCE,
    ("euclidean", False): cebra.models.FixedEuclideanInfoNCE,
    ("cosine", True): cebra.models.LearnableCosineInfoNCE,
    ("euclidean", True): cebra.models.LearnableEuclideanInfoNCE,
}


def make_recordings(n_sessions):
    made = []
    for session in range(n_sessions):
        rng = np.random.default_rng(session)
        label = np.cumsum(rng.normal(size=(LENGTH, 2)), axis=0)
        mix = rng.normal(size=(2, 4 + session))
        noise = rng.normal(size=(LENGTH, 4 + session))
        made.append(make_recording(label @ mix + 0.3 * noise, [continuous(label)]))
    return made


def make_halves(
    architecture,
    distance,
    learnable,
    hybrid,
    n_sessions,
    dtype,
    layout=WINDOWS,
    compiled=False,
):
    """Our `Training` and `cebra`'s solver, over copies of the same model and criterion."""
    recordings = make_recordings(n_sessions)
    torch.manual_seed(3)
    models = [
        cebra.models.init(architecture, num_neurons=r.n_neurons, num_units=8, num_output=4)
        for r in recordings
    ]
    model = (torch.nn.ModuleList(models) if n_sessions > 1 else models[0]).to(dtype)
    criterion = CRITERIA[distance, learnable](temperature=0.7).to(dtype)
    ours, ours_criterion = copy.deepcopy(model), copy.deepcopy(criterion)

    def adam(*modules):
        return torch.optim.Adam([p for m in modules for p in m.parameters()], lr=1e-3)

    name = "multi-session" if n_sessions > 1 else "single-session"
    name += "-hybrid" * hybrid
    silent = {"ignore_deprecation_warning": True} if hybrid else {}
    solver = cebra.solver.init(
        name,
        model=model,
        criterion=criterion,
        optimizer=adam(model, criterion),
        tqdm_on=False,
        **silent,
    )
    left, right = receptive_field(models[0])
    plan = SamplingPlan("time_delta", batch_size=16, hybrid=hybrid)
    sampler = make_sampler(recordings, left, right, plan)
    neural = tuple(torch.from_numpy(r.neural).to(dtype) for r in recordings)
    starts = LENGTH * np.arange(n_sessions + 1)
    applied = tuple(ours) if n_sessions > 1 else (ours,)
    networks = tuple(compile_network(m) if compiled else None for m in applied)
    assert not (compiled and None in networks)
    encoder = Encoder(applied, networks, neural, starts, left, right, (layout,) * n_sessions)
    training = Training(
        encoder, sampler, ours_criterion, adam(ours, ours_criterion), distance, seed=5
    )
    return training, solver


def cebra_windows(training, session, positions):
    encoder = training.encoder
    data = cebra.data.TensorDataset(
        encoder.neural[session],
        continuous=torch.zeros(LENGTH, 1),
        offset=cebra.data.Offset(encoder.left, encoder.right),
    )
    data.neural = encoder.neural[session]  # the constructor makes float32 of it
    return data[torch.from_numpy(positions - encoder.starts[session])].clone()


def cebra_batch(training, batch):
    """Our positions as `cebra` wants them: for several sessions, positives lie by session."""
    n_sessions = len(training.encoder.models)
    if n_sessions == 1:
        positive = batch.positive
        if batch.time_positive is not None:
            positive = np.concatenate([positive, batch.time_positive])
        parts = (batch.reference, positive, batch.negative)
        reference, positive, negative = (cebra_windows(training, 0, part) for part in parts)
        return cebra.data.Batch(reference=reference, positive=positive, negative=negative)
    session = batch.positive // LENGTH
    order = np.argsort(session, kind="stable")
    back = torch.from_numpy(np.argsort(order))
    made = []
    for s in range(n_sessions):
        parts = [
            x[x // LENGTH == s] for x in (batch.reference, batch.positive[order], batch.negative)
        ]
        reference, positive, negative = (cebra_windows(training, s, part) for part in parts)
        made.append(
            cebra.data.Batch(
                reference=reference,
                positive=positive,
                negative=negative,
                index=torch.from_numpy(order),
                index_reversed=back,
            )
        )
    return made


def assert_same_training(training, solver, tolerance, steps=STEPS, shifts=False):
    losses, temperatures = [], []
    for _, record in run(training, 0, steps):
        losses.append(float(record[0]))
        temperatures.append(float(record[3]))
    for _, batch in batches(training.sampler, training.seed, 0, steps):
        solver.step(cebra_batch(training, batch))
    np.testing.assert_allclose(losses, solver.history, rtol=tolerance)
    assert losses[-1] < losses[0]
    theirs = getattr(solver.model, "module", solver.model)
    theirs = tuple(theirs) if len(training.encoder.models) > 1 else (theirs,)
    for mine, other in zip(training.encoder.models, theirs, strict=True):
        weights = list(zip(mine.parameters(), other.parameters(), strict=True))
        if shifts:  # the loss ignores a common shift: its gradient is 0, or what rounding leaves
            weights.pop()
        for one, its_twin in weights:
            torch.testing.assert_close(one, its_twin, rtol=tolerance, atol=tolerance)
    for mine, other in zip(
        training.criterion.parameters(), solver.criterion.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance)
    assert temperatures[0] == pytest.approx(0.7)
    assert len(set(temperatures)) == (steps if list(solver.criterion.parameters()) else 1)


MODES = [(False, 1), (True, 1), (False, 2)]  # hybrid, sessions; `cebra` knows no hybrid of several
TABLE = [
    (architecture, distance, learnable, hybrid, n_sessions)
    for (architecture, distance) in [
        ("offset1-model", "cosine"),
        ("offset10-model", "cosine"),
        ("offset1-model-mse", "euclidean"),
        ("offset10-model-mse", "euclidean"),
    ]
    for learnable, (hybrid, n_sessions) in itertools.product([False, True], MODES)
] + [
    (architecture, distance, True, False, 1)
    for architecture, distance in [
        ("offset5-model", "cosine"),
        ("offset15-model", "cosine"),
        ("offset20-model", "cosine"),
        ("offset36-model", "cosine"),
        ("offset40-model", "cosine"),
        ("offset50-model", "cosine"),
        ("offset1-model-v2", "cosine"),
        ("offset1-model-v5", "cosine"),
        ("offset1-model-mse-tanh", "euclidean"),
        ("offset10-model-mse-tanh", "euclidean"),
        ("offset1-model-mse-clip-10-5", "euclidean"),
        ("offset1-model-mse-v2-2layers", "euclidean"),
        ("offset1-model-mse-resnet-2layers", "euclidean"),
        ("offset4-model-2x-subsample", "cosine"),
        ("offset20-model-4x-subsample", "cosine"),
        ("offset40-model-4x-subsample", "cosine"),
    ]
]


@pytest.mark.parametrize(("architecture", "distance", "learnable", "hybrid", "n_sessions"), TABLE)
def test_losses_and_weights_follow_cebra_in_float64(
    architecture, distance, learnable, hybrid, n_sessions
):
    halves = make_halves(architecture, distance, learnable, hybrid, n_sessions, torch.float64)
    assert_same_training(*halves, tolerance=1e-7)


@pytest.mark.parametrize(("hybrid", "n_sessions"), MODES)
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_and_in_float32_within_its_rounding(distance, hybrid, n_sessions):
    architecture = "offset10-model" + "-mse" * (distance == "euclidean")
    halves = make_halves(architecture, distance, True, hybrid, n_sessions, torch.float32)
    assert_same_training(*halves, tolerance=2e-3, shifts=distance == "euclidean")


FORMS = [
    (Layout(1, LENGTH), False),
    (WINDOWS, True),
    (Layout(2, LENGTH), True),
    (Layout(5, LENGTH), True),
    (Layout(3, LENGTH - 5), True),  # packed, where a batch leaves five steps out
]


@pytest.mark.parametrize(("layout", "compiled"), FORMS)
@pytest.mark.parametrize("architecture", ["offset5-model", "offset10-model-mse", "offset36-model"])
@pytest.mark.parametrize(("hybrid", "n_sessions"), MODES)
def test_every_way_of_applying_a_model_trains_the_same(
    architecture, hybrid, n_sessions, layout, compiled
):
    distance = "euclidean" if architecture.endswith("mse") else "cosine"
    halves = make_halves(
        architecture, distance, False, hybrid, n_sessions, torch.float64, layout, compiled
    )
    assert_same_training(*halves, tolerance=1e-7, steps=15)
