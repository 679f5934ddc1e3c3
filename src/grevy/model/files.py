"""What Grevy adds to the contents of `cebra`'s model files, and how they are taken up again."""

import secrets
import warnings
from dataclasses import dataclass
from typing import Any

import cebra.models
import numpy as np
from cebra.integrations.sklearn.cebra import _load_cebra_with_sklearn_backend

from grevy import __version__ as grevy_version
from grevy.errors import GrevyError, unknown
from grevy.fitting import resolve_device, taken_over, without_fused
from grevy.training import chance_loss

# Parameters of ours that `cebra.CEBRA` does not know; they stay out of its part of a file.
_OWN_PARAMETERS = ("seed", "prior", "num_negatives", "precision")
_OWN_ATTRIBUTES = ("seed_", "n_steps_", "chance_", "data_checksum_", "validation_")


@dataclass(frozen=True, eq=False)
class Saved:
    """An estimator as a model file holds it.

    Attributes
    ----------
    parameters : dict
        Of the constructor.
    fitted : dict
        Fitted attributes.
    """

    parameters: dict[str, Any]
    fitted: dict[str, Any]


def pack(contents: dict[str, Any], estimator: Any) -> dict[str, Any]:
    """Put what is ours into a part of its own, so that plain `cebra` can read the rest.

    Parameters
    ----------
    contents : dict
        As `cebra.CEBRA` writes the estimator; not changed.
    estimator : CEBRA
    """
    parameters = dict(contents["args"])
    own = {name: parameters.pop(name) for name in _OWN_PARAMETERS}
    if isinstance(parameters["time_offsets"], np.ndarray):  # arrays are no plain data to `load`
        parameters["time_offsets"] = parameters["time_offsets"].tolist()
    solver = contents["state_dict"]
    return {
        **contents,
        "args": parameters,
        "state_dict": {**solver, "optimizer": without_fused(solver["optimizer"])},
        "grevy": {
            "args": own,
            "state": {name: getattr(estimator, name) for name in _OWN_ATTRIBUTES},
            "version": grevy_version,
        },
    }


def unpack(contents: dict[str, Any], device: str | None) -> Saved:
    """Read the contents of a model file of Grevy or of plain `cebra`.

    Parameters
    ----------
    contents : dict
    device : str or None
        By default the one it was trained on if it is here, else the CPU.

    Raises
    ------
    GrevyError
        If the architecture is unknown.
    """
    if not isinstance(contents, dict):
        raise TypeError(f"it holds {type(contents).__name__}, not a dictionary")
    architecture = contents["args"]["model_architecture"]
    if architecture not in cebra.models.get_options():
        raise unknown("model", architecture, cebra.models.get_options())
    try:
        target = resolve_device(device or contents["state"]["device_"])
    except GrevyError:
        target = "cpu"
    moved = {**contents, "state": {**contents["state"], "device_": target}}
    with warnings.catch_warnings():
        # `cebra` warns about its own hybrid solver, and that no action is required.
        warnings.simplefilter("ignore", DeprecationWarning)
        plain = _load_cebra_with_sklearn_backend(moved)
    own = contents.get("grevy", {"args": {}, "state": {}})
    batch_size = plain.batch_size or 1  # of whole-data training `cebra` keeps no number
    fitted = {name: value for name, value in vars(plain).items() if name.endswith("_")}
    defaults: dict[str, Any] = {
        "seed_": secrets.randbits(32),
        "n_steps_": len(plain.solver_.history),
        "chance_": chance_loss(batch_size * (plain.num_sessions_ or 1), plain.hybrid),
        "data_checksum_": None,
        "validation_": [],
    }
    plain.solver_.n_features = plain.n_features_
    plain.solver_.optimizer = taken_over(plain.solver_.optimizer)
    return Saved({**contents["args"], **own["args"]}, {**fitted, **defaults, **own["state"]})
