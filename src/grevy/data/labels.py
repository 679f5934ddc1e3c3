"""A label, and how one is made of what a user holds: its kind known, its values fit for it."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from grevy.data.arrays import Array, FloatArray
from grevy.errors import GrevyError

Kind = Literal["continuous", "circular", "discrete"]
TAU = 2 * np.pi

LARGEST = 1e100
"""The largest size of a number whose squares can be summed over any recording."""


@dataclass(frozen=True, eq=False)
class Label:
    """One named behaviour, one value (or row of values) for each time step.

    Attributes
    ----------
    name : str
        What the behaviour is called, as it shall appear in tables and figures.
    kind : {"continuous", "circular", "discrete"}
    values : ndarray
        continuous: (T, L) float64. circular: (T,) float64 in radians, in [0, 2 pi).
        discrete: (T,) int64, codes 0..K-1 into `classes`.
    period : float
        circular only: one full turn in the user's unit (2 pi for radians, 360 for degrees).
    classes : tuple
        discrete only: the K original values (int, bool or str), sorted.
    unit : str
        What the values are measured in, for a person to read; empty if nobody said.
    """

    name: str
    kind: Kind
    values: Array
    period: float = TAU
    classes: tuple[Any, ...] = ()
    unit: str = ""

    def __len__(self) -> int:
        return len(self.values)

    def take(self, index: Array | slice) -> "Label":
        """Return the label at the time steps of `index`; classes keep their codes."""
        return replace(self, values=self.values[index])

    @property
    def unit_values(self) -> Array:
        """The values as the user gave them: in the unit of the period, or the original classes."""
        if self.kind == "circular":
            return np.asarray(self.values * (self.period / TAU))
        if self.kind == "discrete":
            return np.asarray(self.classes)[self.values]
        return self.values


def continuous(values: npt.ArrayLike, name: str = "label") -> Label:
    """Make a continuous label from (T,) or (T, L) numbers.

    Raises
    ------
    GrevyError
        If the values are not finite real numbers, or are constant.
    """
    return make_label(name, values, "continuous")


def circular(values: npt.ArrayLike, period: float = TAU, name: str = "label") -> Label:
    """Make a circular label from (T,) numbers that repeat after `period` (default 2 pi, radians).

    Raises
    ------
    GrevyError
        If the values are not finite real numbers of one dimension, or the period is not positive.
    """
    return make_label(name, values, "circular", period)


def discrete(values: npt.ArrayLike, name: str = "label") -> Label:
    """Make a discrete label from (T,) integers, booleans or strings; any codes will do.

    Raises
    ------
    GrevyError
        If the values have more than one dimension, are fractional, or hold one class only.
    """
    return make_label(name, values, "discrete")


def make_label(
    name: str,
    values: npt.ArrayLike,
    kind: Kind | None = None,
    period: float | None = None,
    unit: str = "",
) -> Label:
    """Make a label, its kind taken from the dtype where none is given.

    Parameters
    ----------
    name : str
        What to call it.
    values : array_like
        (T,) or (T, L). Floats are continuous; integers, booleans and strings are discrete.
    kind : {"continuous", "circular", "discrete"}, optional
        Overrides what the dtype says. Integers may be asked for as continuous or circular.
    period : float, optional
        One full turn of a circular label in its own unit; 2 pi (radians) if not given.
    unit : str
        What continuous or circular values are measured in, for a person to read.

    Raises
    ------
    GrevyError
        If the values cannot be a label of this kind: object dtype that mixes types, complex or
        dates, NaN or infinity, more than one column where one is needed, a constant.
    """
    array = _plain_array(name, values)
    kind = kind or ("continuous" if array.dtype.kind == "f" else "discrete")
    if period is not None and kind != "circular":
        raise GrevyError(
            f"label {name!r}: a period was given, but the label is {kind}. Ask for it as circular "
            f"({name}:circular), or drop the period."
        )
    if kind == "discrete" and unit:
        raise GrevyError(
            f"label {name!r}: a discrete label has no unit, and {unit!r} was given. Leave it out."
        )
    if kind == "discrete":
        return _discrete_label(name, array)
    if array.dtype.kind not in "fiu":
        raise GrevyError(
            f"label {name!r}: {array.dtype} values cannot be {kind}. Ask for it as discrete "
            f"({name}:discrete), or give numbers."
        )
    turn = TAU if period is None else period
    return replace(_numeric_label(name, array.astype(np.float64), kind, turn), unit=unit)


def _plain_array(name: str, values: npt.ArrayLike) -> Array:
    """Turn values into a (T,) or (T, L) array of one plain dtype, or say why not."""
    if hasattr(values, "detach"):  # a torch tensor, perhaps on a device
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise GrevyError(
            f"label {name!r}: rows of different lengths are no label ({error})."
        ) from error
    if array.dtype.kind == "O":
        array = _from_objects(name, array)
    if array.dtype.kind not in "fiubU":
        raise GrevyError(
            f"label {name!r}: dtype {array.dtype} is not supported. Give real numbers, integers, "
            f"booleans or strings."
        )
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim not in (1, 2) or array.size == 0:
        raise GrevyError(
            f"label {name!r}: shape {array.shape}; expected (T,) or (T, L), not empty."
        )
    return array


def _from_objects(name: str, array: Array) -> Array:
    """Recover a plain dtype from objects that all have one type; never guess between types."""
    kinds = {type(value) for value in array.ravel().tolist()}
    if len(kinds) == 1 and kinds <= {int, float, bool, str}:
        return np.array(array.tolist())
    found = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
    raise GrevyError(
        f"label {name!r}: an object array that holds {found} is ambiguous. Convert it first, for "
        f"example values.astype(float) or values.astype(str)."
    )


def _discrete_label(name: str, array: Array) -> Label:
    if array.ndim != 1:
        raise GrevyError(
            f"label {name!r}: a discrete label has one column, this one has shape {array.shape}. "
            f"Give each column as a label of its own."
        )
    if array.dtype.kind == "f":
        raise GrevyError(
            f"label {name!r}: fractional numbers ({array.dtype}) cannot be discrete. Round or bin "
            f"them to integers first, or ask for {name}:continuous."
        )
    classes, codes = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        _check_several_steps(name, array)
        raise GrevyError(
            f"label {name!r}: constant, every value is {classes[0].item()!r}. A label must vary to "
            f"be learnt from; leave it out."
        )
    return Label(name, "discrete", codes.astype(np.int64), classes=tuple(classes.tolist()))


def _numeric_label(name: str, array: FloatArray, kind: Kind, period: float) -> Label:
    # Extremes take no memory of their own, and are NaN or infinite where a value is.
    low, high = array.min(axis=0), array.max(axis=0)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        bad = ~np.isfinite(array)
        first = int(np.argwhere(bad)[0][0])
        raise GrevyError(
            f"label {name!r}: {int(bad.sum())} of {bad.size} values are NaN or infinite, the first "
            f"at time step {first}. Remove or interpolate them first, or leave these steps out "
            f"with `gaps=nan`."
        )
    largest = float(np.maximum(np.abs(low), np.abs(high)).max())
    if largest > LARGEST:
        raise GrevyError(
            f"label {name!r} holds values as large as {largest:.1e}; expected at most "
            f"{LARGEST:.0e} in size. Rescale it (give it in another unit), or remove what is not "
            f"data."
        )
    if np.all(low == high):
        _check_several_steps(name, array)
        raise GrevyError(
            f"label {name!r}: constant, every value is {array.flat[0]:g}. A label must vary to be "
            f"learnt from; leave it out."
        )
    if kind == "continuous":
        return Label(name, kind, array.reshape(len(array), -1))
    if array.ndim != 1:
        raise GrevyError(
            f"label {name!r}: a circular label has one column, this one has shape {array.shape}. "
            f"Give each angle as a label of its own."
        )
    if not (np.isfinite(period) and period > 0):
        raise GrevyError(
            f"label {name!r}: period {period:g}; expected a positive number, such as 360 for "
            f"degrees."
        )
    # Wrapped in the user's own unit, where whole turns are exact (360 degrees are 0).
    radians = np.mod(array, period) * (TAU / period)
    radians[radians >= TAU] = 0.0  # a tiny negative angle rounds up to exactly one turn
    if (radians == radians[0]).all():
        raise GrevyError(
            f"label {name!r}: constant, the values differ by whole turns of {period:g} only. Check "
            f"the period."
        )
    return Label(name, kind, radians, period=float(period))


def _check_several_steps(name: str, array: Array) -> None:
    if len(array) == 1:
        raise GrevyError(
            f"label {name!r}: there is one time step only, and a label must vary to be learnt "
            f"from. Give a longer recording."
        )
