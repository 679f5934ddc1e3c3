"""The records of steps, in the solver's history, where `cebra`'s plots look."""

from typing import Any

import torch
from torch import Tensor


def loss_of(record: Tensor) -> float:
    """Return the total loss of a step's record."""
    return float(record[0])


def keep_history(solver: Any, pending: list[Tensor]) -> None:
    """Move records into the solver's history; empties `pending`."""
    if not pending:
        return
    rows = torch.stack(pending).cpu().tolist()
    pending.clear()
    solver.history.extend(row[0] for row in rows)
    for column, name in enumerate(("total", "pos", "neg", "temperature")):
        solver.log[name].extend(row[column] for row in rows)


def cut_history(solver: Any, steps: int) -> None:
    """Forget what was recorded after `steps` steps, if the model was put back."""
    del solver.history[steps:]
    for values in solver.log.values():
        del values[steps:]
