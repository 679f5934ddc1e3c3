"""What an NWB file says of its session: when it began, whose it was."""

from pathlib import Path

from grevy.data.files.nwb.tree import LONGEST_TEXT, Tree, opened

# Where each is, and what it is called here.
_TEXTS = {
    "session_start_time": "session_start_time",
    "session_description": "session_description",
    "identifier": "identifier",
    **{f"general/subject/{name}": name for name in ("subject_id", "species", "sex", "age")},
}


def read_session(path: str | Path) -> dict[str, str]:
    """Read the texts that describe the session of an NWB file.

    Returns
    -------
    dict of str to str
        Those that there are of session_start_time, session_description, identifier, subject_id,
        species, sex and age.

    Raises
    ------
    GrevyError
        If it cannot be read.
    """
    with opened(Path(path), None) as tree:
        found = {name: _text(tree, place) for place, name in _TEXTS.items()}
    return {name: text for name, text in found.items() if text}


def _text(tree: Tree, place: str) -> str:
    group, _, name = place.rpartition("/")
    parent = tree.below(tree.root, group)
    array = None if parent is None else tree.array(parent, name)
    if array is None or array.ndim or array.dtype.kind != "U":
        return ""
    return str(array.item())[:LONGEST_TEXT]
