"""From a `Sampler` and a generator to batches of positions."""

import numpy as np

from grevy.data import Array, FloatArray, IntArray
from grevy.engine.sampling.neighbours import nearest
from grevy.engine.sampling.plan import Batches, Grouped, Sampler


def draw(sampler: Sampler, n_steps: int, rng: np.random.Generator) -> Batches:
    """Draw the positions of `n_steps` steps.

    Parameters
    ----------
    sampler : Sampler
    n_steps : int
    rng : numpy.random.Generator

    Returns
    -------
    Batches
        References lie recording after recording; positive i belongs to reference i. With several
        recordings, positives are spread over all of them, as many in each as it has references,
        except that a class absent from a recording finds its positive in one that holds it.
    """
    plan = sampler.plan
    if plan.batch_size is None:
        every = np.concatenate([pool.positions for pool in sampler.pools]).astype(np.int64)
        reference = np.tile(every, (n_steps, 1))
    else:
        reference = _draw_prior(sampler, n_steps, plan.batch_size, rng)
    if plan.num_negatives is not None:
        negative = _draw_prior(sampler, n_steps, plan.num_negatives, rng)
    elif plan.batch_size is None:
        negative = rng.permuted(reference, axis=1)
    else:
        negative = _draw_prior(sampler, n_steps, plan.batch_size, rng)
    flat = reference.reshape(-1)
    if plan.conditional == "time":
        positive = _later(sampler, flat, rng)
    else:
        target = _target_groups(sampler, reference, rng).reshape(-1)
        if plan.conditional == "discrete":
            positive = _same_group(sampler.members, target, rng)
        else:
            positive = _nearest_label(sampler, flat, target, rng)
    later = _later(sampler, flat, rng).reshape(reference.shape) if plan.hybrid else None
    return Batches(reference, positive.reshape(reference.shape), negative, later)


def _draw_prior(sampler: Sampler, n_steps: int, size: int, rng: np.random.Generator) -> IntArray:
    """Draw references or negatives, `size` of each recording for each step."""
    drawn = []
    for pool in sampler.pools:
        present = np.flatnonzero(pool.counts)
        if len(present) == 1:
            rank = rng.integers(0, len(pool.positions), (n_steps, size))
            drawn.append(pool.positions[rank])
            continue
        which = present[rng.integers(0, len(present), (n_steps, size))]
        drawn.append(pool.positions[pool.starts[which] + _below(pool.counts[which], rng)])
    return np.concatenate(drawn, axis=1).astype(np.int64)


def _later(sampler: Sampler, reference: IntArray, rng: np.random.Generator) -> IntArray:
    """Positives in time: each reference moved by one of its possible offsets, equally likely."""
    offsets = np.array(sampler.plan.time_offsets)
    if len(offsets) == 1:
        return reference + offsets[0]
    upto = np.cumsum(sampler.possible[reference], axis=1)
    rank = _below(upto[:, -1], rng)
    return reference + offsets[(rank[:, None] >= upto).sum(axis=1)]


def _target_groups(sampler: Sampler, reference: IntArray, rng: np.random.Generator) -> IntArray:
    """For each reference, the recording and class in which its positive is looked for."""
    own = sampler.group[reference]
    if len(sampler.pools) == 1:
        return own
    n_classes = sampler.n_classes
    klass = own % n_classes
    target = rng.permuted(sampler.session[reference], axis=1) * n_classes + klass
    held = sampler.members.counts.reshape(-1, n_classes) > 0
    absent = sampler.members.counts[target] == 0
    for missing in np.unique(klass[absent]):
        holders = np.flatnonzero(held[:, missing])
        where = absent & (klass == missing)
        target[where] = rng.choice(holders, int(where.sum())) * n_classes + missing
    return target


def _same_group(members: Grouped, target: IntArray, rng: np.random.Generator) -> IntArray:
    rank = members.starts[target] + _below(members.counts[target], rng)
    return members.positions[rank].astype(np.int64)


def _nearest_label(
    sampler: Sampler, reference: IntArray, target: IntArray, rng: np.random.Generator
) -> IntArray:
    """Positives by label: nearest to the reference's label plus a change."""
    label = sampler.coordinates[reference]
    if sampler.plan.conditional == "delta_normal":
        query = label + rng.normal(0.0, sampler.plan.delta or 0.0, label.shape)
    else:
        query = label + _observed_changes(sampler, len(reference), rng)
    if len(sampler.indices) == 1:
        return nearest(next(iter(sampler.indices.values())), query, rng)
    positive = np.empty(len(reference), np.int64)
    for g in np.unique(target):
        here = np.flatnonzero(target == g)
        positive[here] = nearest(sampler.indices[int(g)], query[here], rng)
    return positive


def _observed_changes(sampler: Sampler, size: int, rng: np.random.Generator) -> FloatArray:
    """Changes of the label over a time offset, drawn from all that the recordings show."""
    which = np.zeros(size, np.int64)
    if len(sampler.changes) > 1:
        which = rng.integers(0, len(sampler.changes), size)
    rank = _below(np.array([runs.count for runs in sampler.changes])[which], rng)
    start = np.empty(size, np.int64)
    for column, runs in enumerate(sampler.changes):
        chosen = which == column
        start[chosen] = runs.at(rank[chosen])
    stop = start + np.array(sampler.plan.time_offsets)[which]
    return sampler.coordinates[stop] - sampler.coordinates[start]


def _below(counts: Array, rng: np.random.Generator) -> IntArray:
    """Draw one integer in [0, count) for each count."""
    return rng.integers(0, counts, dtype=np.int64)
