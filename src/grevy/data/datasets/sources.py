"""The files of data sets that nothing fetches: which they are, and where they come from."""

import re
from collections.abc import Iterator
from pathlib import Path

from grevy.errors import GrevyError

FIGSHARE = "https://figshare.com/s/60adb075234c2cc51fa3"
CALCIUM = "https://github.com/zivlab/visual_drift"
NEUROPIXELS = "https://allensdk.readthedocs.io/en/latest/visual_coding_neuropixels.html"

_FEATURES = "allen/features/allen_movies/vit_base/8/movie_one_image_stack.npz/testfeat.pth"
_SUMMARY = "allen/data_summary.csv"
_CALCIUM = "allen/visual_drift/data/calcium_excitatory"
_NEUROPIXELS = "allen/allen_movie1_neuropixel"
# As `cebra.datasets.allen` numbers its single sessions.
_SESSIONS = (680156909, 511510779, 679702882, 688678764)


def needed_files(name: str) -> list[str]:
    """Return the files of an Allen data set below the cache folder; none of any other.

    Parameters
    ----------
    name : str
        In `cebra.datasets`.

    Returns
    -------
    list of str
        A `*` stands for any number of files.
    """
    if not name.startswith("allen-"):
        return []
    return [_FEATURES, *_recordings(name)]


def _recordings(name: str) -> Iterator[str]:
    found = re.search("VIS[a-z]+", name)
    area = found[0] if found else "VISp"
    session = re.search(r"single-session-(?:[a-z]\w*-)*(\d)", name)
    if session or "multi-session" in name:
        chosen = _SESSIONS if session is None else (_SESSIONS[int(session[1])],)
        yield from (f"{_CALCIUM}/VISp/{number}.mat" for number in chosen)
        return
    words = name.split("-")
    if "ca" in words:
        yield f"{_CALCIUM}/{area}/*.mat"
        yield _SUMMARY
    if "neuropixel" in words:
        yield f"{_NEUROPIXELS}/{area}/neuropixel_pseudomouse_120_filtered.jl"


def require_files(name: str, folder: Path) -> None:
    """Refuse a data set whose files are not all there.

    Parameters
    ----------
    name : str
        In `cebra.datasets`.
    folder : Path
        The cache folder, in which `cebra` looks for them.

    Raises
    ------
    GrevyError
        Naming those that are missing, where they come from, and where to put them.
    """
    preload = folder / "allen_preload" / f"{name.removesuffix('-preload')}.jl"
    in_place = (_CALCIUM, _SUMMARY) if name.endswith("-preload") and preload.is_file() else ()
    missing = [
        each
        for each in needed_files(name)
        if not each.startswith(in_place) and not any(folder.glob(each))
    ]
    if not missing:
        return
    raise GrevyError(
        f"data set {name!r} needs files that are not on this computer: {', '.join(missing)}. They "
        f"are among the demo data of cebra's authors, {FIGSHARE}, made from {CALCIUM} (calcium) "
        f"and {NEUROPIXELS} (Neuropixels). Put them into {folder} under these names, or set "
        f"CEBRA_DATADIR to the folder that holds 'allen'."
    )
