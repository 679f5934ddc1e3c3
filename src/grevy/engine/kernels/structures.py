"""What the compiled loops take: the structures of the C files, field by field and in their order.

What C calls in, out, from and to is input, output, source and out here: some are words of Python.
"""

import ctypes
from typing import Any

from torch import Tensor

_AT, _COUNT, _REAL = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double


class Matrix(ctypes.Structure):
    """A matrix as it lies in memory; distances in numbers."""

    _fields_ = (("at", _AT), ("row", _COUNT), ("column", _COUNT))


def _fields(kind: Any, names: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name, kind) for name in names.split())


class Convolution(ctypes.Structure):
    """Of `convolution_forward` and `convolution_backward`; see ``convolution.h``."""

    _fields_ = (
        *_fields(_COUNT, "rows batch taps n_in n_out before threads"),
        *_fields(_AT, "weight bias"),
        *_fields(Matrix, "input output"),
        *_fields(_AT, "index slope"),
        *_fields(Matrix, "grad in_grad"),
        *_fields(_AT, "weight_grad bias_grad scratch"),
    )


class InfoNCE(ctypes.Structure):
    """Of `infonce_gradient`; see ``infonce.c``."""

    _fields_ = (
        *_fields(_COUNT, "rows columns depth euclidean threads"),
        ("scale", _REAL),
        *_fields(Matrix, "reference positive negative"),
        *_fields(Matrix, "reference_grad positive_grad negative_grad"),
        *_fields(_AT, "loss scratch"),
    )


class Rows(ctypes.Structure):
    """Of `rows_gather` and `rows_sum`; see ``rows.c``."""

    _fields_ = (*_fields(_COUNT, "n columns rows threads"), *_fields(_AT, "source index out"))


class Lengths(ctypes.Structure):
    """Of `lengths_forward` and `lengths_backward`; see ``rows.c``."""

    _fields_ = (
        *_fields(_COUNT, "rows columns threads"),
        *_fields(Matrix, "input output grad in_grad"),
        ("lengths", _AT),
    )


class Moments(ctypes.Structure):
    """A parameter and its state, of `adam_update`; see ``adam.c``."""

    _fields_ = (*_fields(_AT, "weight mean square largest grad step"), ("size", _COUNT))


class Adam(ctypes.Structure):
    """The settings of `adam_update`; see ``adam.c``."""

    _fields_ = (
        *_fields(_REAL, "rate beta1 beta2 decay epsilon"),
        *_fields(_COUNT, "decoupled maximize"),
    )


class Tree(ctypes.Structure):
    """Points, of `tree_build` and `tree_nearest`; see ``neighbours.c``."""

    _fields_ = (
        *_fields(_COUNT, "points dims levels slots"),
        *_fields(_AT, "source period values boxes order"),
    )


class Queries(ctypes.Structure):
    """What is asked of a tree, of `tree_nearest`; see ``neighbours.c``."""

    _fields_ = (
        *_fields(_COUNT, "n threads"),
        *_fields(_AT, "at draws samples starts found"),
    )


class Step(ctypes.Structure):
    """A function and its argument, of `run_steps`; see ``steps.c``."""

    _fields_ = _fields(_AT, "function argument")


def matrix(of: Tensor | None) -> Matrix:
    """Describe a matrix to C; null for none."""
    return Matrix() if of is None else Matrix(of.data_ptr(), *of.stride())


def address(of: Tensor | None) -> int | None:
    """Return where a contiguous tensor begins, null for none."""
    return None if of is None else of.data_ptr()
