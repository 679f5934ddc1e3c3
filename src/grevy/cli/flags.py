"""Flags made from the settings of a run, when a command is asked for and not before."""

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from grevy.cli.speech import ending_plainly, speaking

if TYPE_CHECKING:
    from grevy.config import Setting

# Flags that are not called like their setting: each of several is given on its own.
_NAMES = {"imports": "--import"}


class Command(TyperCommand):
    """A command that speaks plainly, and refuses a flag given twice where one would be lost."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for param in self.get_params(ctx):
            repeatable = getattr(param, "multiple", False) or param.nargs == -1
            if given.count(param) > 1 and not repeatable and not ctx.resilient_parsing:
                ctx.fail(f"{param.opts[0]} was given {given.count(param)} times. Give it once.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Do what the command does."""
        flags = flags_of(ctx)
        level = logging.ERROR if ctx.params.get("quiet") else logging.INFO
        with ending_plainly(flags), speaking(flags, level):
            return super().invoke(ctx)


def flags_of(ctx: Any) -> dict[str, str]:
    """Return the flags of the command at hand, by the name of the parameter that each sets."""
    params = ctx.command.get_params(ctx)
    flags = {param.name: param.opts[0] for param in params if param.opts[0].startswith("--")}
    if "label" in flags:
        flags["labels"] = flags["label"]  # what reads a file has a name for all of them
    return flags


def takes_settings(
    app: typer.Typer, *names: str, of_a_file: bool = False, **helps: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command that takes settings of `RunConfig` as flags, in its ``**settings``.

    A setting that is not given is None. `RunConfig`, with the libraries that check it, is imported
    when the command is asked for, so that the list of commands stays quick.

    Parameters
    ----------
    app : Typer
    names : str
        Of the settings; all of them if neither these nor `helps` are given.
    of_a_file : bool
        Whether the settings that belong to a data file are among them.
    helps : str
        By the name of a setting, help where the command has its own words for it.
    """

    def register(body: Callable[..., None]) -> Callable[..., None]:
        class Late(Command):
            made = False

            def get_params(self, ctx: Any) -> list[Any]:
                if not self.made:
                    self.made = True
                    taken = (*names, *(_of_a_file() if of_a_file else ()))
                    whole = _command(body, {**dict.fromkeys(taken), **helps})
                    self.params, self.callback = whole.params, whole.callback
                return super().get_params(ctx)

        app.command(body.__name__, cls=Late, help=inspect.getdoc(body))(lambda: None)
        return body

    return register


def _of_a_file() -> tuple[str, ...]:
    from grevy.config import settings_of_a_file

    return settings_of_a_file()


def _command(body: Callable[..., None], helps: Mapping[str, str | None]) -> Any:
    """Make a command of a function whose ``**settings`` are spelled out."""
    from grevy.config import list_settings

    def spelled_out(**given: Any) -> None:
        body(**given)

    own = inspect.signature(body, eval_str=True).parameters.values()
    made = [
        _parameter(setting, helps.get(setting.name) or setting.help)
        for setting in list_settings()
        if not helps or setting.name in helps
    ]
    written = [
        each.replace(kind=each.KEYWORD_ONLY) for each in own if each.kind != each.VAR_KEYWORD
    ]
    spelled_out.__signature__ = inspect.Signature([*made, *written])  # type: ignore[attr-defined]
    alone = typer.Typer(add_completion=False)
    alone.command()(spelled_out)
    return typer.main.get_command(alone)


def _parameter(setting: "Setting", help: str) -> inspect.Parameter:
    kind: Any = list[setting.kind] if setting.several else setting.kind  # type: ignore[name-defined]
    option = typer.Option(
        *([_NAMES[setting.name]] if setting.name in _NAMES else []),
        help=help.replace("[", r"\["),  # else markup of the help page
        metavar=setting.metavar,
        rich_help_panel=setting.panel,
        show_default=False,
    )
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )
