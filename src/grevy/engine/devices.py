"""Devices: which there is, and a recording brought to it."""

import numpy as np
import torch
from torch import Tensor

from grevy.data import Array
from grevy.errors import GrevyError, unknown


def resolve_device(name: str) -> str:
    """Return a torch device that exists here.

    Parameters
    ----------
    name : str
        ``"auto"`` and ``"cuda_if_available"`` take a GPU if there is one.

    Raises
    ------
    GrevyError
        If the device is unknown or absent.
    """
    if name in ("auto", "cuda_if_available"):
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = str(name).partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not (kind == "cuda" and number.isdigit())):
        raise unknown("device", str(name), ["auto", "cpu", "cuda", "cuda:0", "mps"])
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(number or 0) >= count:
            raise GrevyError(
                f"device {name!r}: this machine has {count} CUDA device(s) that torch can use. "
                f"Use 'cpu', or 'auto' to take what is there."
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise GrevyError("device 'mps' is not available here. Use 'cpu' or 'auto'.")
    return str(name)


def on_device(neural: Array, device: str, dtype: torch.dtype) -> Tensor:
    """Bring neural data (T, N) to a device; on the CPU the memory may be shared."""
    array = np.ascontiguousarray(neural, np.float32)
    # Of what cannot be written to torch would warn, and a memory map is read again and again.
    if not array.flags.writeable:
        array = array.copy()
    return torch.from_numpy(array).to(device, dtype)
