"""The user's own modules, imported so that the data sets and models they register are known."""

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from grevy.errors import GrevyError


def import_module(module_or_file: str) -> ModuleType:
    """Import a module by its dotted name, or a Python file by its path.

    A file is imported once in a process, however often it is asked for. Modules beside it, and for
    a dotted name modules in the working folder, are found.

    Parameters
    ----------
    module_or_file : str
        Such as `my_lab.data` or `my_data.py`.

    Raises
    ------
    GrevyError
        If there is no such module or file, or it fails: with the error, the file and the line.
    """
    path = Path(module_or_file).expanduser()
    if path.suffix == ".py" or path.is_file():
        return _import_file(path)
    try:
        with _found_beside(Path.cwd()):
            return importlib.import_module(module_or_file)
    except ModuleNotFoundError as error:
        if error.name and (
            module_or_file == error.name or module_or_file.startswith(error.name + ".")
        ):
            raise GrevyError(
                f"there is no module {module_or_file!r}, neither installed nor in {Path.cwd()}. "
                f"Give the path of a .py file, or check the spelling."
            ) from error
        raise _failed(module_or_file, error) from error
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        raise _failed(module_or_file, error) from error


def _import_file(path: Path) -> ModuleType:
    path = path.resolve()
    if not path.is_file():
        raise GrevyError(f"there is no file {path} to import. Check the spelling and the folder.")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path) and module.__name__ != "__main__":
            return module
    # The name holds the path, so that two files called data.py do not meet.
    name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise GrevyError(f"{path} is no Python file; expected a name that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with _found_beside(path.parent):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # the user's code may raise anything
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


@contextmanager
def _found_beside(folder: Path) -> Iterator[None]:
    """Let imports find what lies in a folder, for the time being."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _failed(what: str, error: BaseException) -> GrevyError:
    if isinstance(error, SyntaxError):
        place = f"{error.filename}, line {error.lineno}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == what] or frames
        place = f"{own[-1].filename}, line {own[-1].lineno}"
    return GrevyError(
        f"importing {what} failed with {type(error).__name__}: {error} ({place}). Mend it there."
    )
