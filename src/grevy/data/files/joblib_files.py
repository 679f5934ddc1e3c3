"""Joblib files, read without running the code that a pickle may hold.

A pickle is a small program: loading one from a stranger runs whatever it asks for. The reader here
understands only the few constructions that data needs (plain containers and numbers, numpy arrays
of numbers or strings, torch tensors). Each of them is rebuilt by a class of this module rather
than by the one that the file names, so nothing in the file decides what is called.
"""

import io
import math
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from grevy.data.files.regular import require_file
from grevy.errors import GrevyError

_PLAIN_KINDS = "fiubcSU"
_PLAIN_TYPES = (str, bytes, bool, int, float, complex, set, np.generic, np.ndarray)


def read_joblib(path: str | Path, *, trust: bool) -> Any:
    """Read a joblib file, by default only as far as that is safe.

    Parameters
    ----------
    path : str or Path
    trust : bool
        Load anything with `joblib.load`, which runs whatever code the file holds. Without it only
        plain containers, numpy arrays of numbers or strings and torch tensors are read; tensors
        come back as numpy arrays.

    Raises
    ------
    GrevyError
        If the file asks for anything else, is damaged, or is compressed and not trusted.
    """
    path = Path(path)
    require_file(path)
    try:
        if trust:
            import joblib

            return joblib.load(path)
        with path.open("rb") as stream:
            return _plain(_Unpickler(stream).load(), {})
    except _RefusedError as error:
        raise GrevyError(
            f"{path} holds {error}, which could run code when it is loaded; only plain containers, "
            f"numbers, arrays and tensors are read. Write the data as .npz or .h5 instead."
        ) from error
    except Exception as error:  # arbitrary bytes make a pickle reader raise almost anything
        raise GrevyError(
            f"{path} cannot be read as a joblib file ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}). It may be truncated or damaged; make or "
            f"download it again."
        ) from error


class _RefusedError(Exception):
    """The file asks for something that is not data."""


class _Dtype:
    """Stands for a numpy dtype; of its pickled state only the byte order is believed."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.value = np.dtype(str(code))
        if self.value.kind not in _PLAIN_KINDS:
            raise _RefusedError(f"an array of dtype {self.value}")

    def __setstate__(self, state: Any) -> None:
        if state[1] in ("<", ">"):
            self.value = self.value.newbyteorder(state[1])


class _Array:
    """Stands for a numpy array whose bytes lie within the pickle."""

    value: np.ndarray[Any, Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        order: Any = "F" if fortran else "C"
        self.value = np.frombuffer(data, dtype.value).reshape(shape, order=order).copy(order=order)


class _Wrapper:
    """Stands for an array whose bytes joblib wrote after its description."""

    def __setstate__(self, state: Any) -> None:
        self.shape = tuple(int(length) for length in state["shape"])
        self.fortran = state["order"] == "F"
        self.dtype = state["dtype"].value
        self.aligned = state.get("numpy_array_alignment_bytes") is not None

    def read(self, stream: BinaryIO) -> np.ndarray[Any, Any]:
        if self.aligned:
            stream.read(stream.read(1)[0])
        size = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        if size > _remaining(stream):
            raise ValueError(f"an array of {size} bytes is longer than the file")
        flat = np.frombuffer(stream.read(size), self.dtype)
        order: Any = "F" if self.fortran else "C"
        array = flat.reshape(self.shape, order=order)
        return array.astype(self.dtype.newbyteorder("="), order="K")


class _Class:
    """Stands for a class that a pickle names as an argument and that we do not need."""


def _remaining(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size - stream.tell()


def _array(*_: Any) -> _Array:
    return _Array()


def _scalar(dtype: _Dtype, data: bytes) -> Any:
    return np.frombuffer(data, dtype.value)[0]


def _storage(data: bytes) -> Any:
    import torch

    try:
        return torch.load(io.BytesIO(data), weights_only=True)
    except Exception as error:  # torch would advise to let it run code
        raise ValueError("a tensor whose numbers cannot be read") from error


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Any:
    import torch

    # The public name of the untyped storage warns that typed ones are going to be removed.
    flat = torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage)
    if math.prod(size) > len(flat):  # strides of 0 would repeat a number without end
        raise ValueError(f"a tensor of shape {tuple(size)} of {len(flat)} numbers")
    # as_strided checks its bounds, which torch's own rebuilding of a tensor does not.
    return flat.as_strided(tuple(size), tuple(stride), offset).numpy().copy()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode("latin1" if encoding == "latin1" else "ascii")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Wrapper,
    ("numpy", "ndarray"): _Class,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("_codecs", "encode"): _encode,
}


_BUILD: Callable[[Any], None] = pickle._Unpickler.dispatch[pickle.BUILD[0]]


class _Bounded:
    """A stream that makes no room for more bytes than it has."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.readline = stream.readline

    def read(self, size: int) -> bytes:
        if size > _remaining(self._stream):
            raise ValueError(f"{size} bytes are longer than the file")
        return self._stream.read(size)


class _Unpickler(pickle._Unpickler):
    """Reads the pickle format, but finds only what `_ALLOWED` lists."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(_Bounded(stream))
        self._stream = stream

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _RefusedError(f"'{module}.{name}'") from None

    def load_build(self) -> None:
        # Only our own stand-ins take a state: setting one on a function or a class of this module
        # would change it for the files that are read later.
        target = self.stack[-2]
        if not isinstance(target, _Dtype | _Array | _Wrapper):
            raise _RefusedError(f"a state for {type(target).__name__!r}")
        _BUILD(self)
        if isinstance(target, _Wrapper):
            self.stack[-1] = target.read(self._stream)

    dispatch[pickle.BUILD[0]] = load_build
    del dispatch[pickle.BYTEARRAY8[0]]  # it makes room for whatever length is named


def _plain(value: Any, seen: dict[int, Any]) -> Any:
    """Replace stand-ins by their arrays, all the way down; what comes twice is made once."""
    if id(value) not in seen:
        # The value is kept beside what is made of it, so that no other takes its identity.
        seen[id(value)] = value, _remade(value, seen)
    return seen[id(value)][1]


def _remade(value: Any, seen: dict[int, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item, seen) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(item, seen) for item in value)
    if isinstance(value, _Array):
        return value.value
    if value is None or isinstance(value, _PLAIN_TYPES):
        return value
    raise ValueError(f"unexpected {type(value).__name__}")
