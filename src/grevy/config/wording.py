"""What is wrong with a setting, in our words."""

import reprlib
from collections.abc import Mapping
from typing import Any


def explained(error: Any) -> str:
    """Say one of pydantic's errors in our words."""
    message = _expectation(error["type"], error.get("ctx", {}))
    message = message or str(error["msg"]).removeprefix("Value error, ").rstrip(".")
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
