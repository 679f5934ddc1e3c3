"""torch's own generators, lent to what draws from them alone: initial weights, dropout, demo data.

They belong to the whole process, as does the precision that torch takes where none is named. So one
thread at a time has them as it needs them, and puts them back.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LOCK = threading.RLock()
if hasattr(os, "register_at_fork"):  # a forked process must not find it held by a thread it lacks
    os.register_at_fork(
        before=_LOCK.acquire, after_in_parent=_LOCK.release, after_in_child=_LOCK.release
    )


@contextmanager
def seeded(seed: int, device: "torch.device | None" = None) -> Iterator[None]:
    """Seed torch's generators for what is drawn meanwhile, and put them back to where they were.

    Numbers made meanwhile are float32, unless something else is asked for.
    Other threads that ask for the same wait meanwhile. `torch.random.fork_rng` and
    `torch.manual_seed` would reach for every GPU, also one that only seems to be there.

    Parameters
    ----------
    seed : int
    device : torch.device, optional
        Its generator is seeded too if it is a CUDA GPU; that of the CPU always is.
    """
    import torch

    with _LOCK:
        generators = [torch.default_generator]
        if device is not None and device.type == "cuda":
            number = torch.cuda.current_device() if device.index is None else device.index
            generators.append(torch.cuda.default_generators[number])
        before, dtype = [each.get_state() for each in generators], torch.get_default_dtype()
        try:
            torch.set_default_dtype(torch.float32)
            for each in generators:
                each.manual_seed(seed)
            yield
        finally:
            torch.set_default_dtype(dtype)
            for each, state in zip(generators, before, strict=True):
                each.set_state(state)
