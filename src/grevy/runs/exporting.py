"""`grevy export`: a trained model as a file for other programs."""

from collections.abc import Sequence
from pathlib import Path

from grevy.archive import MODEL, RunFolder
from grevy.data import import_module
from grevy.errors import GrevyError
from grevy.runs.embedding import chosen_encoder


def export_onnx(
    target: Path,
    output: Path,
    *,
    session: int | None = None,
    trust: bool = False,
    imports: Sequence[str] = (),
) -> None:
    """Write a saved model as ONNX; see `grevy.model.write_onnx` for what the file holds.

    Parameters
    ----------
    target : Path
        A ``.pt`` file of grevy or cebra, or the folder of a finished run.
    output : Path
        Ends in ``.onnx``.
    session : int, optional
        Which encoder, if the model has several.
    trust : bool
        Allow pickled code in the file to run.
    imports : sequence of str
        Modules or files that register models.

    Raises
    ------
    GrevyError
        If a file is unusable, or the model cannot be written as ONNX.
    """
    from grevy.model import CEBRA, write_onnx

    if output.suffix != ".onnx":
        raise GrevyError(f"`onnx={output}`: expected the name of a .onnx file.")
    for module in imports:
        import_module(module)
    path = RunFolder(target) / MODEL if target.is_dir() else target
    model = CEBRA.load(path, weights_only=False if trust else None, map_location="cpu")
    write_onnx(model, output, chosen_encoder(model, session))
