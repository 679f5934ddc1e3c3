"""Model files in `cebra`'s format: written whole, read without running anybody's code."""

import io
import pickle
import secrets
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cebra
import cebra.models
import numpy as np
import torch
from cebra.integrations.sklearn.cebra import _load_cebra_with_sklearn_backend
from cebra.integrations.sklearn.utils import check_fitted

from grevy.atomic import whole_file
from grevy.data import from_plain, require_file, seeded, to_plain
from grevy.engine import chance_loss, resolve_device
from grevy.errors import GrevyError, IsFolderError, MissingFileError, NoModelError, unknown
from grevy.model.fitted import Fitted
from grevy.model.parameters import Parameters
from grevy.model.states import taken_over, without_fused
from grevy.version import __version__ as grevy_version

# Fitted attributes that `cebra` knows; the others are kept in a part of our own.
_CEBRAS = (
    "label_types", "device", "n_features", "n_features_in", "num_sessions", "offset", "solver_name",
)  # fmt: skip
_OWN = ("seed", "n_steps", "chance", "data_checksum", "validation")


@dataclass(frozen=True, eq=False)
class Saved:
    """An estimator as a model file holds it.

    Attributes
    ----------
    parameters : dict
        Of the constructor.
    fitted : Fitted
    """

    parameters: dict[str, Any]
    fitted: Fitted


def pack(parameters: Mapping[str, Any], fitted: Fitted) -> dict[str, Any]:
    """Put what is ours into a part of its own, so that plain `cebra` can read the rest.

    Parameters
    ----------
    parameters : mapping
        Of the constructor.
    fitted : Fitted
    """
    known = set(cebra.CEBRA._get_param_names())
    args = {name: value for name, value in parameters.items() if name in known}
    if isinstance(args["time_offsets"], np.ndarray):  # arrays are no plain data to `load`
        args["time_offsets"] = args["time_offsets"].tolist()
    solver = fitted.solver.state_dict()
    versions = {
        f"{name}_version": version(package)
        for name, package in {
            "cebra": "cebra", "torch": "torch", "numpy": "numpy", "sklearn": "scikit-learn",
        }.items()
    }  # fmt: skip
    return {
        "args": args,
        "state": {f"{name}_": getattr(fitted, name) for name in _CEBRAS},
        "state_dict": {**solver, "optimizer": without_fused(solver["optimizer"])},
        "metadata": {"backend": "sklearn", **versions},
        "grevy": {
            "args": {name: value for name, value in parameters.items() if name not in known},
            "state": {f"{name}_": getattr(fitted, name) for name in _OWN},
            "preparations": list(map(to_plain, fitted.preparations or ())),
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
    with seeded(0), warnings.catch_warnings():  # it draws weights before it reads them
        # `cebra` warns about its own hybrid solver, and that no action is required.
        warnings.simplefilter("ignore", DeprecationWarning)
        plain = _load_cebra_with_sklearn_backend(moved)
    own = contents.get("grevy", {"args": {}, "state": {}})
    batch_size = plain.batch_size or 1  # of whole-data training `cebra` keeps no number
    plain.solver_.n_features = plain.n_features_
    plain.solver_.optimizer = taken_over(plain.solver_.optimizer)
    ours = {
        "seed": secrets.randbits(32),
        "n_steps": len(plain.solver_.history),
        "chance": chance_loss(batch_size * (plain.num_sessions_ or 1), plain.hybrid),
        "data_checksum": None,
        "validation": [],
    } | {name: own["state"][f"{name}_"] for name in _OWN if f"{name}_" in own["state"]}
    cebras = {name: getattr(plain, f"{name}_") for name in _CEBRAS}
    preparations = tuple(map(from_plain, own.get("preparations", ()))) or None
    kept = [len(each.kept) for each in preparations or ()]
    if preparations is not None and kept != np.atleast_1d(plain.n_features_).tolist():
        raise ValueError(f"preparations for {kept} neurons, not {plain.n_features_}")
    fitted = Fitted(
        model=plain.model_, solver=plain.solver_, preparations=preparations, **cebras, **ours
    )
    ours_too = {each.name for each in fields(Parameters)} - {"given"}
    added = {name: value for name, value in own["args"].items() if name in ours_too}
    return Saved({**contents["args"], **added}, fitted)


@torch.inference_mode(False)  # or what is read could not be trained
def read_saved(path: Path, device: str | None, trust: bool = False) -> Saved:
    """Read a model file of Grevy or of plain `cebra`.

    Parameters
    ----------
    path : Path
    device : str or None
        As in `unpack`.
    trust : bool
        Allow pickled code to run. Only for files from people you trust.

    Raises
    ------
    GrevyError
        If the file is missing, broken, or holds pickled code or a model that is not fitted.
    NoModelError
        If it holds no CEBRA model.
    """
    contents = read_checkpoint(path, resolve_device(str(device or "cpu")), trust)
    if isinstance(contents, cebra.CEBRA):  # written by cebra's old "torch" backend
        if not check_fitted(contents):
            raise GrevyError(f"{path} holds a CEBRA that is not fitted. Fit it, then save it.")
        contents = contents._get_state_dict()
    try:
        return unpack(contents, device)
    except GrevyError:
        raise
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise NoModelError(
            f"{path} is no CEBRA model: {type(error).__name__}: {error}. Expected a file written "
            f"by CEBRA.save."
        ) from error


def write_checkpoint(contents: dict[str, Any], path: Path) -> None:
    """Write a checkpoint, whole or not at all.

    Raises
    ------
    WriteError
        If the place cannot be written to.
    """
    # torch hides what the disk says behind an error of its own, so it writes to memory.
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    with whole_file(path) as stream:
        stream.write(buffer.getbuffer())


def read_checkpoint(path: Path, device: str | None, trust: bool) -> Any:
    """Read a checkpoint of `cebra` or of Grevy.

    Parameters
    ----------
    path : Path
    device : str or None
        Where its tensors go; where they were if None.
    trust : bool
        Allow pickled code to run. Only for files from people you trust.

    Raises
    ------
    GrevyError
        If the file is missing, unreadable, no checkpoint, or holds pickled code without `trust`.
    """
    if path.is_dir():
        raise IsFolderError(f"model file {path} is a folder. Give the path of a .pt file.")
    require_file(path)
    if not path.exists():
        raise MissingFileError(f"model file {path} does not exist. Give the path of a .pt file.")
    try:
        with torch.serialization.safe_globals(_harmless()), warnings.catch_warnings():
            # torch wonders at the protocol of a pickle before it refuses it; one message is enough.
            warnings.filterwarnings("ignore", "Detected pickle protocol")
            return torch.load(path, map_location=device, weights_only=not trust)
    except PermissionError as error:
        raise GrevyError(f"model file {path} cannot be read: {error.strerror}.") from error
    except pickle.UnpicklingError as error:
        if trust or not _is_archive(path):
            # Around it torch advises to let the file run code.
            raise _broken(path, error.__context__ or error) from error
        raise GrevyError(
            f"model file {path} is damaged or holds pickled Python objects, which can run code. "
            f"If you trust whoever made it, open it with `trust=True` "
            f"(in Python: CEBRA.load(..., weights_only=False))."
        ) from error
    except Exception as error:  # damaged bytes may break torch's reader anywhere, in any way
        raise _broken(path, error) from error


def _is_archive(path: Path) -> bool:
    """Tell a torch archive or an old-style pickle from plain garbage."""
    with path.open("rb") as stream:
        return zipfile.is_zipfile(path) or stream.read(1) == b"\x80"


def _broken(path: Path, error: BaseException) -> GrevyError:
    reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else "it is empty"
    return GrevyError(
        f"{path} is no complete model file ({reason}). It may be truncated or something else; "
        f"copy or train it again."
    )


def _harmless() -> list[type | Callable[..., Any] | tuple[Any, str]]:
    """List what a checkpoint may hold beside tensors: plain data of numpy and `cebra`."""
    from cebra.integrations.sklearn.cebra import CEBRA_LOAD_SAFE_GLOBALS

    dtypes = [getattr(np.dtypes, name) for name in dir(np.dtypes) if name.endswith("DType")]
    scalar = np.float64(0).__reduce__()[0]
    return [*CEBRA_LOAD_SAFE_GLOBALS, *dtypes, scalar]
