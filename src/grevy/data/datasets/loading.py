"""Data sets by name: `cebra`'s registry, with what users register there, as recordings."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from grevy.data.arrays import Array
from grevy.data.datasets.cache import Cache, cache_directories, cebras_datasets
from grevy.data.datasets.downloads import Published, download, md5
from grevy.data.datasets.sources import require_files
from grevy.data.datasets.synthetic import NOISES, generate
from grevy.data.files.joblib_files import read_joblib
from grevy.data.labels import Label, continuous, make_label
from grevy.data.randomness import seeded
from grevy.data.recording import Recording, make_recording
from grevy.errors import GrevyError, unknown

_LOG = logging.getLogger(__name__)

DEMO_SEED = 0
LOCAL_SEED = 0

# What `cebra` publishes with a known latent, by the name of its noise. Said here, for importing
# `cebra`'s registry takes longer than making such data.
_SYNTHETIC = {
    "continuous-gaussian-mixture": "poisson",
    **{
        f"continuous-gaussian-mixture-{noise}": noise
        for noise in ("gaussian", "laplace", "poisson", "refractory_poisson", "uniform")
    },
    **{f"continuous-label-{noise}": noise for noise in NOISES},
}
_CORRUPT = re.compile(r"-corrupt-\d+$")


def names() -> list[str]:
    """Return the name of every data set that `load` knows, those registered by the user included.

    The thousands of shuffled controls, such as `rat-hippocampus-buddy-corrupt-7`, are left out;
    `load` knows them all the same.
    """
    return sorted(name for name in cebras_datasets().get_options() if not _CORRUPT.search(name))


def load(
    name: str,
    *,
    offline: bool = False,
    download_timeout: float = 10.0,
) -> tuple[Recording, ...]:
    """Load a data set by its name in `cebra.datasets`.

    Files are looked for in `cache_directories()`, then fetched within a time limit and checked.
    What `cebra` publishes as `continuous-label-<noise>` is, where neither works, made by the same
    generator; `source` then says so, and a warning is logged. Demo data are the same in every
    process. Files are read without running code that they may hold.

    Parameters
    ----------
    name : str
        One of `names()`, or a shuffled control.
    offline : bool
        Never use the network.
    download_timeout : float
        The longest silence of a server that is allowed, in seconds.

    Returns
    -------
    tuple of Recording
        One for each session, with every label of the data set.

    Raises
    ------
    GrevyError
        If the name is unknown, a file is missing or damaged, or the data set cannot be made.
    """
    cache = Cache(offline, download_timeout)
    if name in _SYNTHETIC:
        return (_synthetic(name, _SYNTHETIC[name], cache),)
    if name not in cebras_datasets().get_options():
        raise unknown("data set", name, names())
    require_files(name, cache_directories()[0])
    dataset = _initialised(name, cache)
    if not hasattr(dataset, "iter_sessions"):
        return (_recording(name, name, dataset),)
    return tuple(
        _recording(name, f"{name}, session {number}", session)
        for number, session in enumerate(dataset.iter_sessions())
    )


def _synthetic(name: str, noise: str, cache: Cache) -> Recording:
    """Read or make one of the published data sets with a known latent."""
    relative = f"synthetic/continuous_label_{noise}.jl"
    try:
        if cache.offline and noise in NOISES and cache.find(relative) is None:
            # Said without its address: to look that up takes longer than to make the data.
            raise GrevyError(f"{relative} is not on this computer, and downloads are off.")
        path = cache.provide(relative)
    except GrevyError as error:
        if noise not in NOISES:
            raise
        made = generate(noise, LOCAL_SEED)
        _LOG.warning(f"{name} is made locally (seed {LOCAL_SEED}): {error}")
        source = f"{name}, made locally (seed {LOCAL_SEED})"
        label = continuous(made.u, "u")
        return make_recording(made.x, [label], source=source, latent=made.z)
    is_published = md5(path) == cache.published[relative].md5
    source = f"{name}, {path} ({'' if is_published else 'not '}the published file)"
    content = read_joblib(path, trust=False)
    missing = {"x", "u", "z"} - set(content if isinstance(content, dict) else ())
    if missing:
        raise GrevyError(
            f"{path}: expected a dictionary with the keys x, z and u; missing "
            f"{', '.join(sorted(missing))}. Remove the file, and it is fetched or made again."
        )
    latent = np.asarray(content["z"], np.float64)[:, :2]  # the published one is padded with zeros
    label = continuous(content["u"], "u")
    return make_recording(content["x"], [label], source=source, latent=latent)


def _initialised(name: str, cache: Cache) -> Any:
    """Make `cebra`'s object of a data set, from our files and with its draws fixed."""
    try:
        with seeded(DEMO_SEED), _files_from(cache):
            return cebras_datasets().init(name)
    except GrevyError as error:
        raise GrevyError(f"data set {name!r}: {error}") from error
    except FileNotFoundError as error:
        raise GrevyError(
            f"data set {name!r} needs the file {error.filename}, which is not there, and cebra "
            f"names no address to fetch it from. Put it there, or set CEBRA_DATADIR to the folder "
            f"that holds it."
        ) from error
    except Exception as error:  # the class may be the user's own and raise anything
        raise GrevyError(
            f"data set {name!r} could not be made: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _files_from(cache: Cache) -> Iterator[None]:
    """Let `cebra`'s data sets take their files from a cache.

    Left alone they wait for a server without limit, look in one folder that was fixed when
    `cebra.datasets` was imported, and unpickle what they find.
    """
    import cebra.data.assets
    import joblib

    plain_load = joblib.load

    def fetch(
        url: str,
        expected_checksum: str,
        location: str | Path,
        file_name: str,
        retry_count: int = 0,  # noqa: ARG001
        gzipped_checksum: str | None = None,
    ) -> None:
        path = Path(location) / file_name
        if f"{path.parent.name}/{path.name}" in cache.published:
            return  # provided when it is read
        if path.is_file() and md5(path) == expected_checksum:
            return
        if cache.offline:
            raise GrevyError(f"{path} is not there as published, and downloads are off.")
        download(Published(url, expected_checksum, gzipped_checksum), path, cache.timeout)

    def load_file(filename: Any, *arguments: Any, **options: Any) -> Any:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if not caller.startswith("cebra.datasets"):
            return plain_load(filename, *arguments, **options)  # the user's own code
        path = Path(filename)
        relative = f"{path.parent.name}/{path.name}"
        if relative in cache.published:
            path = cache.provide(relative)
        elif not path.is_file():
            raise FileNotFoundError(2, "no such file", str(path))
        return read_joblib(path, trust=False)

    with (
        _replaced(cebra.data.assets, "download_file_with_progress_bar", fetch),
        _replaced(joblib, "load", load_file),
    ):
        yield


@contextmanager
def _replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _recording(name: str, source: str, dataset: Any) -> Recording:
    """Turn one session of `cebra`'s into a recording, with all its labels."""
    neural = _array(dataset, "neural")
    if neural is None:
        raise GrevyError(
            f"data set {source!r} has no attribute 'neural'; expected the activity, (T, N)."
        )
    rate = None
    if name.startswith("rat-hippocampus"):
        labels, rate = _rat_labels(dataset), 40.0
    elif name.startswith("area2-bump"):
        labels, rate = list(_reaching_labels(dataset, source)), 1000.0
    else:
        labels = list(_labels(dataset))
    borders = getattr(dataset, "trial_borders", None)
    runs = None if borders is None else np.lib.stride_tricks.sliding_window_view(borders, 2)
    return make_recording(neural, labels, segments=runs, sampling_rate=rate, source=source)


def _array(dataset: Any, attribute: str) -> Array | None:
    """Return an attribute of a data set as numpy has it; None if it is absent."""
    try:
        value = getattr(dataset, attribute, None)
    except NotImplementedError:
        return None
    if value is None:
        return None
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _labels(dataset: Any) -> Iterator[Label]:
    values = _array(dataset, "continuous_index")
    if values is not None:
        yield make_label("continuous", values, "continuous")
    values = _array(dataset, "discrete_index")
    if values is not None:
        yield make_label("discrete", values, "discrete")


def _rat_labels(dataset: Any) -> list[Label]:
    """Tell the position from the running direction: the columns are position, right and left."""
    index = _array(dataset, "continuous_index")
    assert index is not None  # every one of these data sets has it
    labels = [continuous(index[:, 0], "position")]
    if index.shape[1] == 3:
        sides = np.array(["left", "neither", "right"])
        turn = np.sign(index[:, 1] - index[:, 2]).astype(int)
        labels.append(make_label("direction", sides[turn + 1], "discrete"))
    return labels


def _reaching_labels(dataset: Any, source: str) -> Iterator[Label]:
    """Name the labels of a reaching data set, and leave out those that never change."""
    position = _array(dataset, "continuous_index")
    if position is not None:
        yield continuous(position, "position")
    values = _array(dataset, "discrete_index")
    if values is None:
        return
    passive = ("passive", "passive_shuffled")
    chosen = dataset.discrete_index
    label = (
        "passive" if any(chosen is getattr(dataset, each, None) for each in passive) else "target"
    )
    if (values == values[0]).all():
        _LOG.info(f"{source}: the label {label!r} is {values[0]} throughout and is left out.")
        return
    yield make_label(label, values, "discrete")
