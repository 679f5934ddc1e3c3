"""What the compiled loops take: the structures of ``structures.h``, name by name and in order."""

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
    """Of `convolution_forward` and `convolution_backward`."""

    _fields_ = (
        *_fields(_COUNT, "rows batch taps n_in n_out before threads"),
        *_fields(_AT, "weight bias"),
        *_fields(Matrix, "input output"),
        *_fields(_AT, "index slope"),
        *_fields(Matrix, "grad input_grad"),
        *_fields(_AT, "weight_grad bias_grad scratch"),
    )


class InfoNCE(ctypes.Structure):
    """Of `infonce_gradient`."""

    _fields_ = (
        *_fields(_COUNT, "rows columns depth euclidean threads"),
        ("scale", _REAL),
        *_fields(Matrix, "reference positive negative"),
        *_fields(Matrix, "reference_grad positive_grad negative_grad"),
        *_fields(_AT, "loss scratch"),
    )


class Rows(ctypes.Structure):
    """Of `rows_gather` and `rows_sum`."""

    _fields_ = (
        *_fields(_COUNT, "n columns rows threads"),
        *_fields(Matrix, "source output"),
        ("index", _AT),
    )


class Lengths(ctypes.Structure):
    """Of `lengths_forward` and `lengths_backward`."""

    _fields_ = (
        *_fields(_COUNT, "rows columns threads"),
        *_fields(Matrix, "input output grad input_grad"),
        ("lengths", _AT),
    )


class Moments(ctypes.Structure):
    """A parameter and its state, of `adam_update`."""

    _fields_ = (*_fields(_AT, "weight mean square largest grad step"), ("size", _COUNT))


class Adam(ctypes.Structure):
    """The settings of `adam_update`."""

    _fields_ = (
        *_fields(_REAL, "rate beta1 beta2 decay epsilon"),
        *_fields(_COUNT, "decoupled maximize"),
    )


class Tree(ctypes.Structure):
    """Points, of `tree_build` and `tree_nearest`."""

    _fields_ = (
        *_fields(_COUNT, "points dims levels slots"),
        *_fields(_AT, "source period values boxes order"),
    )


class Queries(ctypes.Structure):
    """What is asked of a tree, of `tree_nearest`."""

    _fields_ = (
        *_fields(_COUNT, "n threads"),
        *_fields(_AT, "at draws samples starts found"),
    )


class Step(ctypes.Structure):
    """A function and its argument, of `run_steps`."""

    _fields_ = _fields(_AT, "function argument")


# How C writes kinds; all others are pointers.
_KINDS: dict[Any, str] = {_REAL: "double", _COUNT: "integer", Matrix: "Matrix"}


class _Place(ctypes.Structure):
    """Where C has put a member of a structure; see ``layout.c``."""

    _fields_ = (
        *_fields(ctypes.c_char_p, "name kind"),
        *_fields(_COUNT, "offset size"),
    )


def differences(library: Any) -> list[str]:
    """Compare the structures above with those that a library was built with.

    Parameters
    ----------
    library : CDLL

    Returns
    -------
    list of str
        Each structure that is not laid out here as it is there.
    """
    known = (Matrix, Convolution, InfoNCE, Rows, Lengths, Moments, Adam, Tree, Queries, Step)
    library.kernels_layout.restype = ctypes.POINTER(_Place)
    found = [each.__name__ for number, each in enumerate(known) if _differs(library, number, each)]
    return [*found, *(["one more"] if library.kernels_layout(ctypes.c_int64(len(known))) else [])]


def _differs(library: Any, number: int, structure: type[ctypes.Structure]) -> bool:
    here = [(structure.__name__, "", -1, ctypes.sizeof(structure))]
    for name, kind, *_ in structure._fields_:
        member = getattr(structure, name)
        here.append((name, _KINDS.get(kind, "*"), member.offset, member.size))
    places = library.kernels_layout(ctypes.c_int64(number))
    there: list[tuple[str, str, int, int]] = []
    while places and places[len(there)].name is not None:
        place = places[len(there)]
        kind = place.kind.decode()
        shown = "*" if kind.endswith("*") else kind
        there.append((place.name.decode(), shown, place.offset, place.size))
    return here != there


def matrix(of: Tensor | None) -> Matrix:
    """Describe a matrix to C; null for none."""
    if of is None:
        return Matrix()
    row, column = of.stride()
    # A single column is at any distance from none, which C would take for a transposed matrix.
    return Matrix(of.data_ptr(), row, column if of.shape[1] > 1 else 1)


def address(of: Tensor | None) -> int | None:
    """Return where a contiguous tensor begins, null for none."""
    return None if of is None else of.data_ptr()
