"""The elements of a MATLAB cell as one array, where they are alike."""

from typing import Any

import numpy as np

from grevy.data.files.entries import Array, texts
from grevy.data.files.limits import Limit


def single(value: Any) -> Any:
    """Unwrap a string, which MATLAB keeps as an array of one."""
    is_text = isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1
    return value.item() if is_text else value


def stacked(elements: list[Any], shape: tuple[int, ...], limit: Limit) -> Array | None:
    """Join the elements of a cell: strings keep its shape, equal arrays get a new first axis."""
    if elements and all(isinstance(element, str) for element in elements):
        return texts(elements, shape, limit)
    if len(elements) < 2 or not all(isinstance(element, np.ndarray) for element in elements):
        return None
    alike = {(element.shape, element.dtype.kind in "fiub") for element in elements}
    return np.stack(elements) if len(alike) == 1 and alike.pop()[1] else None
