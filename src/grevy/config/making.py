"""Settings checked: the configuration they make, or all that is wrong with them."""

from typing import Any

from pydantic import ValidationError

from grevy.config.settings import RunConfig
from grevy.config.wording import explained
from grevy.errors import Problems, unknown

# Each names the recordings of a run.
SOURCES = ("dataset", "data", "sessions")


def make_config(settings: dict[str, Any]) -> RunConfig:
    """Validate settings.

    Parameters
    ----------
    settings : dict
        By field name.

    Raises
    ------
    GrevyError
        Naming the first setting that is unknown, with the nearest names; else every one that is
        out of range; else the first that does not go with another.
    """
    for name in settings:
        if name not in RunConfig.model_fields:
            raise unknown("setting", str(name), RunConfig.model_fields)
    try:
        return RunConfig(**settings)
    except ValidationError as error:
        problems = Problems("settings")
        for each in error.errors():
            problems.add(explained(each))
        problems.raise_if_any()
        raise


def setting_problem(name: str, value: Any) -> str | None:
    """Say what is wrong with the value of one setting, whatever the others are; None if nothing is.

    Parameters
    ----------
    name : str
        Of a setting that there is.
    value : object
    """
    try:
        RunConfig(**{name: value})
    except ValidationError as error:
        for each in error.errors():
            # What names the recordings is all that a run must have: it is checked as a whole.
            if each["loc"][:1] == (name,) or (value and name in SOURCES):
                return explained(each)
    return None
