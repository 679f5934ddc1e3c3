"""Masks: shares and shapes as in `cebra`, refusals, and randomness from the given generator."""

import cebra.data.masking as theirs
import numpy as np
import pytest
import torch

from grevy.engine.masks import KINDS, Mask, hide, make_masks
from grevy.errors import GrevyError

VALUES = {
    "RandomNeuronMask": 0.3,
    "RandomTimestepMask": 0.4,
    "NeuronBlockMask": 0.35,
    "TimeBlockMask": (0.2, 3),
}


def hidden(kind, value, shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return hide(torch.ones(shape), make_masks(((kind, value),)), generator) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_hides_as_often_and_in_the_same_shape_as_cebra(kind):
    """Chance that a cell, and that two cells together, are hidden: over many windows, as there."""
    shape = (8000, 6, 10)
    torch.manual_seed(1)
    mask = getattr(theirs, kind)(VALUES[kind]).apply_mask(torch.ones(shape))
    reference = (mask.expand(shape) == 0).flatten(1).double()
    ours = hidden(kind, VALUES[kind], shape).flatten(1).double()
    for one, other in (
        (ours.mean(0), reference.mean(0)),
        (ours.T @ ours / len(ours), reference.T @ reference / len(ours)),
    ):
        # 6 standard errors of a difference of two shares, at most sqrt(1/4 * 2 / 8000)
        assert float((one - other).abs().max()) < 6 * np.sqrt(0.5 / shape[0])


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_kept_or_zero(kind):
    windows = torch.randn(50, 6, 10)
    before = windows.clone()
    got = hide(windows, make_masks(((kind, VALUES[kind]),)), torch.Generator().manual_seed(0))
    assert torch.equal(windows, before)
    assert ((got == windows) | (got == 0)).all()
    assert (got == 0).any()
    assert (got != 0).any()


def test_the_shapes_of_the_masks():
    neurons = hidden("RandomNeuronMask", 0.5, (40, 6, 10))
    assert torch.equal(neurons.any(2), neurons.all(2))
    steps = hidden("RandomTimestepMask", 0.5, (40, 6, 10))
    assert torch.equal(steps.any(1), steps.all(1))
    block = hidden("NeuronBlockMask", 0.5, (200, 6, 10))[:, :, 0]
    assert (block.sum(1) == 3).all()
    first = block.int().argmax(1)
    assert all(row[f : f + 3].all() for row, f in zip(block, first, strict=True))
    assert set(first.tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(
    ("value", "ratios"),
    [(0.3, (0.3,)), ([0.1, 0.5], (0.1, 0.5)), ((0.1, 0.3, 0.1), (0.1, 0.2, 0.3))],
)
def test_ratios(value, ratios):
    (mask,) = make_masks((("RandomNeuronMask", value),))
    assert mask.ratios == pytest.approx(ratios)


def test_all_kinds_and_ratios_are_used_in_turn():
    masks = (Mask("RandomNeuronMask", (0.1, 0.9)), Mask("RandomTimestepMask", (0.5,)))
    generator = torch.Generator().manual_seed(0)
    shares = set()
    for _ in range(60):
        gone = hide(torch.ones(400, 10, 10), masks, generator) == 0
        by_neuron = bool(torch.equal(gone.any(2), gone.all(2)))
        shares.add((by_neuron, round(float(gone.float().mean()), 1)))
    assert shares == {(True, 0.1), (True, 0.9), (False, 0.5)}


def test_the_generator_alone_decides():
    masks = make_masks((("RandomNeuronMask", 0.5),))
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, same, other = (
        hide(torch.ones(20, 6, 4), masks, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_range_that_starts_at_nothing_leaves_nothing_out():
    (mask,) = make_masks((("NeuronBlockMask", (0.0, 0.75, 0.25)),))
    assert mask.ratios == (0.25, 0.5, 0.75)


def test_a_mapping_will_do():
    assert make_masks({"RandomNeuronMask": 0.3}) == make_masks((("RandomNeuronMask", 0.3),))


@pytest.mark.parametrize("value", [0.3, "RandomNeuronMask", (("RandomNeuronMask",),), ((1, 2, 3),)])
def test_anything_but_pairs_is_an_error(value):
    with pytest.raises(GrevyError, match="expected pairs"):
        make_masks(value)


def test_no_masks():
    assert make_masks(None) == make_masks(()) == ()


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("RandomNeuronMasks", 0.3, ["unknown mask", "RandomNeuronMask"]),
        ("RandomNeuronMask", 0.0, ["0.0", "between 0 and 1"]),
        ("RandomNeuronMask", 1.0, ["1.0", "between 0 and 1"]),
        ("RandomNeuronMask", 1, ["1", "between 0 and 1"]),
        ("RandomNeuronMask", [], ["[]"]),
        ("RandomNeuronMask", [0.2, 1.5], ["1.5"]),
        ("RandomNeuronMask", "lots", ["lots"]),
        ("NeuronBlockMask", (0.1, 0.2), ["(0.1, 0.2)"]),
        ("RandomNeuronMask", (0.1, 0.5, 0.0), ["(0.1, 0.5, 0.0)"]),
        ("RandomNeuronMask", (0.5, 0.1, 0.1), ["(0.5, 0.1, 0.1)"]),
        ("RandomNeuronMask", ("a", 0.5, 0.1), ["'a'"]),
        ("TimeBlockMask", 0.3, ["(ratio, span)"]),
        ("TimeBlockMask", (0.3, 0), ["span 0"]),
        ("TimeBlockMask", (0.3, 1.5), ["(ratio, span)"]),
        ("TimeBlockMask", (3.0, 2), ["3.0"]),
    ],
)
def test_bad_values_are_errors(kind, value, words):
    with pytest.raises(GrevyError) as caught:
        make_masks(((kind, value),))
    for word in words:
        assert word in str(caught.value)
