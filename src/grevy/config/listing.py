"""What there is to say of each setting, wherever settings are asked for or listed."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from grevy.config.settings import RunConfig, marked, notes_of


@dataclass(frozen=True)
class Setting:
    """What there is to say of a setting, wherever it is asked for or listed.

    Attributes
    ----------
    name : str
    panel : str
        The group of settings that it belongs to.
    help : str
        One line, with its default.
    metavar : str or None
        What stands for its value, such as FILE.
    kind : type
        Of the value, or of each where there may be several: int, float, bool or str.
    several : bool
    """

    name: str
    panel: str
    help: str
    metavar: str | None
    kind: type
    several: bool


def known_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some settings that are a run's; a user's script may archive its own too."""
    return {name: value for name, value in found.items() if name in RunConfig.model_fields}


def list_settings() -> tuple[Setting, ...]:
    """Describe every setting of a run, in the order of the groups that they belong to."""
    return tuple(_described(name, field) for name, field in RunConfig.model_fields.items())


def settings_of_a_file() -> tuple[str, ...]:
    """Name the settings that belong to a data file, not to a data set."""
    return marked("of_file")


def incidental_settings() -> tuple[str, ...]:
    """Name the settings that say where, not what: they do not enter a run's identity."""
    return marked("incidental")


def _described(name: str, field: FieldInfo) -> Setting:
    about = notes_of(field)
    kind, several = about["flag"] or _kind(field.annotation)
    options = get_args(field.annotation)
    choices = " or ".join(f"{each}{' (default)' * (each == field.default)}" for each in options)
    help = (field.description or "").format(default=_plain(field.default), choices=choices)
    return Setting(name, about["panel"], help, about["metavar"], kind, several)


def _kind(annotation: Any) -> tuple[type, bool]:
    """Return the type of a setting's value, or of each where there may be several; and whether."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):  # it may be left out
        return _kind(next(each for each in parts if each is not type(None)))
    if origin is tuple:
        return parts[0], True
    return (str if origin is Literal else annotation), False


def _plain(default: Any) -> str:
    if isinstance(default, tuple):
        return " ".join(map(_plain, default))
    return f"{default:g}" if isinstance(default, float) else str(default)
