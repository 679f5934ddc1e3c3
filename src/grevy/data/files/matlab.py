"""MATLAB files of version 4 and 5: scipy reads them once their structure has been checked."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.files.cells import single, stacked
from grevy.data.files.entries import DEEPEST, Entries, Entry, held
from grevy.data.files.hdf5 import read_hdf5
from grevy.data.files.limits import Limit
from grevy.data.files.matlab_elements import check_matlab


def read_mat(path: Path, trust: bool, limit: Limit) -> Entries:
    """Read a MATLAB file of version 4, 5 or 7.3; structs and cells have dotted keys."""
    import h5py
    import scipy.io

    if h5py.is_hdf5(path):
        return read_hdf5(path, trust, limit)
    check_matlab(path, limit)
    content = scipy.io.loadmat(path)
    return {
        key: entry
        for name, value in content.items()
        if not name.startswith("__")
        for key, entry in _matlab(name, value, 0, limit)
    }


def _matlab(name: str, value: Any, depth: int, limit: Limit) -> Iterator[tuple[str, Entry]]:
    """Walk through what scipy makes of a MATLAB variable."""
    if hasattr(value, "toarray"):  # sparse; spikes often are
        needed = math.prod(value.shape) * value.dtype.itemsize
        limit.check(needed, f"the sparse array {name!r}")
        value = value.toarray()
    if not isinstance(value, np.ndarray) or depth > DEEPEST:
        return
    if value.dtype.names:
        several = value.size > 1
        for index, element in enumerate(value.ravel()):
            base = f"{name}.{index}" if several else name
            for field in value.dtype.names:
                yield from _matlab(f"{base}.{field}", element[field], depth + 1, limit)
    elif value.dtype.kind == "O":
        whole = stacked([single(element) for element in value.ravel()], value.shape, limit)
        if whole is not None:
            yield name, held(whole, limit)
            return
        for index, element in enumerate(value.ravel()):
            base = f"{name}.{index}" if value.size > 1 else name
            yield from _matlab(base, element, depth + 1, limit)
    elif value.dtype.kind in "fiubcU":
        yield name, held(value, limit)
