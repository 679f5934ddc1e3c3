"""Copies are those of torch, for all that numpy can have and for what it cannot."""

import pytest
import torch

from grevy.engine.copies import copy, joined, write_rows_of_windows

TYPES = [torch.float32, torch.float64, torch.int64, torch.bfloat16]


def matrix(rows, columns, dtype, transposed):
    made = torch.arange(rows * columns).to(dtype)
    return made.view(columns, rows).T if transposed else made.view(rows, columns)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("transposed", [False, True])
def test_parts_are_joined_and_copied(dtype, transposed):
    parts = [matrix(rows, 3, dtype, transposed) for rows in (4, 1, 0, 7)]
    whole = joined(parts)
    assert whole.dtype == dtype
    assert torch.equal(whole, torch.cat(parts))
    out = torch.zeros_like(matrix(12, 3, dtype, not transposed))
    copy(out, whole)
    assert torch.equal(out, whole)


def test_what_is_copied_takes_the_type_of_its_place():
    out = torch.zeros(2, 2, dtype=torch.bfloat16)
    copy(out, torch.full((2, 2), 1.5))
    assert torch.equal(out, torch.full((2, 2), 1.5, dtype=torch.bfloat16))


def test_rows_of_windows():
    out = torch.zeros(3, 4, dtype=torch.int64)
    write_rows_of_windows(out, torch.tensor([5, 0, 9, 5]))
    assert out.tolist() == [[5, 0, 9, 5], [6, 1, 10, 6], [7, 2, 11, 7]]


def test_no_copy_wakes_the_threads_of_torch():
    """What torch would share out is copied by one thread: the time of the process shows others."""
    large = torch.ones(2_000_000, 4)
    with torch.profiler.profile() as watched:
        joined([large, large])
        copy(torch.empty(4, 2_000_000).T, large)
        write_rows_of_windows(
            torch.empty(3, 100_000, dtype=torch.int64), torch.zeros(100_000, dtype=torch.int64)
        )
    asked = {event.key for event in watched.key_averages()}
    assert not asked & {"aten::cat", "aten::copy_", "aten::add"}
