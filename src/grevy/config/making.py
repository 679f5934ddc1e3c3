"""Settings checked: the configuration they make, or all that is wrong with them."""

import reprlib
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from grevy.config.settings import RunConfig
from grevy.errors import Problems, unknown


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
            problems.add(_explained(each))
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
            if each["loc"][:1] == (name,):
                return _explained(each)
    return None


def _explained(error: Any) -> str:
    """Say one of pydantic's errors in our words."""
    message = _expectation(error["type"], error.get("ctx", {}))
    message = message or str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return f"{message}."
    return f"`{error['loc'][0]}` is {reprlib.repr(error['input'])}: {message}."


def _expectation(problem: str, context: Mapping[str, Any]) -> str:
    """Say what was expected where pydantic found a problem; empty if its own words must do."""
    if problem == "literal_error":
        return "expected " + str(context["expected"]).replace("'", "")
    bounds = {
        "greater_than": ("gt", "above"), "greater_than_equal": ("ge", "of at least"),
        "less_than": ("lt", "below"),
    }  # fmt: skip
    if problem in bounds:
        key, words = bounds[problem]
        return f"expected a number {words} {context[key]:g}"
    kinds = {
        "int": "a whole number", "float": "a number", "finite": "a finite number",
        "bool": "true or false", "string": "text", "tuple": "a list",
    }  # fmt: skip
    kind = kinds.get(problem.split("_", maxsplit=1)[0])
    return f"expected {kind}" if kind else ""
