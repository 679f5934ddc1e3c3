"""`grevy embed`: a file and a saved model in, an embedding out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grevy import archive
from grevy.data import import_module, load, read_recording
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from grevy.model import CEBRA


def embed_file(
    model_path: Path,
    data: str,
    output: Path,
    *,
    neural: str | None,
    segments: str | None,
    session: int | None,
    device: str,
    trust: bool,
    transpose: bool = False,
    max_bytes: int | None = None,
    bin: float | None = None,
    units: str | None = None,
    gaps: str | None = None,
    imports: Sequence[str],
) -> tuple[int, int]:
    """Embed a data file, or a data set known by name, with a saved model.

    Returns
    -------
    tuple of int
        (T, D), the shape of what was written to `output`.

    Raises
    ------
    GrevyError
        If a file is unusable, model and data do not fit, or a key is given for a data set.
    """
    from grevy.engine import resolve_device
    from grevy.model import CEBRA

    if output.suffix != ".npy" or not output.parent.is_dir():
        raise GrevyError(f"`output={output}`: expected a .npy file in a folder that exists.")
    for module in imports:
        import_module(module)
    model = CEBRA.load(
        model_path, weights_only=False if trust else None, map_location=resolve_device(device)
    )
    encoder = chosen_encoder(model, session)
    if Path(data).is_file() or Path(data).suffix:
        recording = read_recording(
            data, neural=neural, segments=segments, trust=trust,
            transpose=transpose, max_bytes=max_bytes, bin=bin, units=units, gaps=gaps,
        )  # fmt: skip
    else:
        recordings = load(data)
        of_file = {
            "neural": neural, "segments": segments, "transpose": transpose, "max_bytes": max_bytes,
            "bin": bin, "units": units, "gaps": gaps,
        }  # fmt: skip
        given = [f"`{name}`" for name, value in of_file.items() if value]
        if given:
            raise GrevyError(f"{', '.join(given)}: for a data file only; {data!r} is a data set.")
        # A data set of one recording may be another day of any of the model's.
        number = 0 if len(recordings) == 1 else session or 0
        if number >= len(recordings):
            raise GrevyError(f"`session={number}`: {data} has {len(recordings)} recordings.")
        recording = recordings[number]
    embedding = model.transform(recording, session_id=encoder)
    archive.write_array(output, embedding)
    return embedding.shape[0], embedding.shape[1]


def chosen_encoder(model: "CEBRA", session: int | None) -> int | None:
    """Return which encoder to use; None where the model has but one."""
    count = model.num_sessions_
    if count is None:
        if session:
            raise GrevyError(
                f"`session={session}`: the model was trained on one recording. Leave it out."
            )
        return None
    if session is None or session >= count:
        given = "none was chosen" if session is None else f"`session={session}` is none of them"
        raise GrevyError(
            f"the model has {count} encoders, one for each recording that it was trained on, and "
            f"{given}. Choose with `session`, from 0 to {count - 1}."
        )
    return session
