"""A page as one file: its template filled in, with its style and its scripts inside."""

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template


def document(template: str, scripts: tuple[str, ...], **content: Any) -> str:
    """Fill in a template of the package.

    Everything is escaped but what is `Markup`, and the page's own security policy lets no other
    script run and nothing be fetched.

    Parameters
    ----------
    template : str
        Its name; it places ``policy``, ``style``, ``plotly`` and ``script``.
    scripts : tuple of str
        Names of the package's scripts, joined in this order.
    content
        What else the template places.
    """
    from markupsafe import Markup

    plotly, script = _plotly(), _own_script(scripts)
    return _template(template).render(
        policy=_policy(plotly, script),
        style=Markup(_static("report.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        **content,
    )


@cache
def _template(name: str) -> "Template":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("grevy.report"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(name)


@cache
def _policy(*scripts: str) -> str:
    """Write the page's security policy: these scripts and no other, and nothing fetched."""
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() + "'"
        for script in scripts
    ]
    return (
        f"default-src 'none'; script-src {' '.join(hashes)}; style-src 'unsafe-inline'; "
        f"img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return _inside_script(get_plotlyjs())


@cache
def _own_script(scripts: tuple[str, ...]) -> str:
    parts = "\n".join(_static(name) for name in scripts)
    return _inside_script(f'(() => {{\n"use strict";\n{parts}}})();')


def _inside_script(code: str) -> str:
    """Check that a script may stand inside a script element, with the line ends it is hashed by."""
    code = code.replace("\r\n", "\n")
    if "</script" in code.lower() or "<!--" in code:
        raise ValueError("a script of the page would end its own element")
    return code


def _static(name: str) -> str:
    return (files("grevy.report") / "static" / name).read_text(encoding="utf-8")
