"""A comparison in words: cells of a table for any terminal, and what stands below it."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grevy.archive import CONFIG
from grevy.errors import shown_line
from grevy.report import NOTHING, number, plural, short
from grevy.sweeps.choosing import Apart, Choice
from grevy.sweeps.comparing import Comparison
from grevy.sweeps.rows import Row, Spread

MOST_COLUMNS = 3
"""More differing settings share one column on a terminal."""
NAME_LENGTH = 60
# Signs that not every terminal has.
_PLAIN = str.maketrans({"²": "2", "\N{MINUS SIGN}": "-", "\N{NO-BREAK SPACE}": " ", NOTHING: "-"})


def plain(text: str) -> str:
    """Write a text of ours in ASCII, and what came from files so that it does nothing."""
    return shown_line(text.translate(_PLAIN))


def say(comparison: Comparison, value: float | None, with_unit: bool = False) -> str:
    """Write a value of the metric: near the top of a list, the third digit tells rows apart."""
    unit = f" {comparison.unit}" if with_unit and comparison.unit else ""
    return plain(number(value) + unit)


def say_spread(comparison: Comparison, spread: Spread | None) -> str:
    """Write how far seeds differ."""
    if spread is None:
        return "-"
    return f"{say(comparison, spread.low)} to {say(comparison, spread.high)}"


def say_setting(value: Any) -> str:
    """Write the value of a setting, cut where it is long."""
    if value is None:
        return "-"
    text = value if isinstance(value, str) else json.dumps(_brief(value), default=str)
    return plain(short(text, NAME_LENGTH))


def _brief(value: Any) -> Any:
    """Round a number to four digits, which tell drawn ones apart; in a list too."""
    if isinstance(value, list):
        return [_brief(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def title(comparison: Comparison) -> str:
    """Name the metric, with its unit."""
    unit = f" ({comparison.unit})" if comparison.unit else ""
    return plain(short(comparison.metric.title, 100) + unit)


def head(comparison: Comparison, is_narrow: bool = False) -> list[str]:
    """Name the columns of the table; where it is narrow, many settings share one."""
    names = [name.replace("_", " ") for name in comparison.rows.names]
    if is_narrow and len(names) > MOST_COLUMNS:
        names = ["settings"]
    return ["", *map(plain, names), "mean", "seeds", "n", "run"]


def cells(
    comparison: Comparison, row: Row, places: Sequence[Path], is_narrow: bool = False
) -> list[str]:
    """Write one row of the table, as `head` lays it out."""
    settings = [say_setting(value) for value in row.settings.values()]
    if is_narrow and len(settings) > MOST_COLUMNS:
        named = zip(row.settings, settings, strict=True)
        settings = [", ".join(f"{plain(name)}={value}" for name, value in named)]
    more = f" +{len(row.runs) - 1}" if len(row.runs) > 1 else ""
    return [
        "*" if row.best else "", *settings, say(comparison, row.mean),
        say_spread(comparison, row.spread), str(len(row.known)),
        plain(run_name(row.runs[0].folder.root, places)) + more,
    ]  # fmt: skip


def run_name(folder: Path, places: Sequence[Path]) -> str:
    """Name a run by its folder, as seen from the place where it was found."""
    for place in places:
        if folder.is_relative_to(place) and folder != place:
            return folder.relative_to(place).as_posix()
    return folder.as_posix()


def below_table(comparison: Comparison) -> list[str]:
    """Say what the table is of, and what to mind."""
    better = "more" if comparison.metric.larger_is_better else "less"
    ends = " to ".join(say(comparison, value) for value in comparison.chance)
    chance = f"; chance {ends}" if ends else ""
    lines = [
        f"{title(comparison)}: {better} is better{chance}",
        plain(
            f"{plural(len(comparison.runs), 'run')}, {plural(len(comparison.rows.rows), 'row')}; "
            f"seeds: "
            f"{_kinds_of_spread(comparison)}"
        ),
        *(plain(note) for note in comparison.notes),
    ]
    if comparison.unmarked:
        lines.append(f"None is marked: {comparison.unmarked}.")
    if len(comparison.rows.rows) > 1:
        lines.append(
            "The first of many rows is first by luck in part: `grevy best` says how good it is by "
            "what did not choose it."
        )
    return lines


def _kinds_of_spread(comparison: Comparison) -> str:
    spreads = [row.spread for row in comparison.rows.rows if row.spread]
    if not spreads:
        return "one each"
    kinds = {spread.is_interval for spread in spreads}
    words = {True: "95 % interval of the mean (t)", False: "range"}
    return ", or ".join(words[kind] for kind in sorted(kinds, reverse=True))


_MEANS = {
    "folds": "the mean score of the folds",
    "halves": "the held-out score itself",
    "score": "the score itself",
}
_PARTS = {
    "folds": "on the fold that did not choose, each in turn",
    "halves": "on the half of the held-out blocks that did not choose, both ways",
}


def choice_lines(choice: Choice) -> list[str]:
    """Say which run was chosen, how to repeat it, and how good it is."""
    comparison, row = choice.comparison, choice.row
    settings = ", ".join(
        f"{plain(name)}={say_setting(value)}" for name, value in row.settings.items()
    )
    spread = ""
    if row.spread:
        kind = "95 % interval" if row.spread.is_interval else "from"
        spread = f", mean of {len(row.known)} seeds, {kind} {say_spread(comparison, row.spread)}"
    ends = " to ".join(say(comparison, value) for value in comparison.chance)
    chance = f"; chance {ends}" if ends else ""
    facts = [
        ("run", plain(str(choice.run.folder.root))),
        ("repeat", repeat_command(choice)),
        *([("settings", settings)] if settings else []),
        ("score", f"{title(comparison)} {say(comparison, row.mean)}{spread}{chance}"),
        *choice_facts(choice),
    ]
    return [f"{name:9} {words}" for name, words in facts]


def repeat_command(choice: Choice) -> str:
    """Write the command that repeats the chosen run, quoted for a shell."""
    words = ["grevy", "run", "--config", str(choice.run.folder / CONFIG)]
    imports = choice.run.settings.get("imports") or []
    for module in [imports] if isinstance(imports, str) else imports:
        words += ["--import", str(module)]
    return plain(" ".join(map(shlex.quote, [*words, "--output-dir", "results/again"])))


def choice_facts(choice: Choice) -> list[tuple[str, str]]:
    """Say what chose, among how many, and what that means for the score: names and words."""
    comparison, n_runs = choice.comparison, len(choice.comparison.runs)
    if choice.by == "nothing":
        return [("chosen", "by nothing: all runs have the same settings")]
    among = plain(f"among {plural(choice.n_rows, 'setting')} ({plural(n_runs, 'run')})")
    if choice.apart is not None:
        return _facts_of_validation(choice, choice.apart, among)
    facts = [("chosen", f"by {_MEANS[choice.by]}, {among}")]
    facts.append(
        ("warning", f"its score is optimistic, for it helped to choose, {among}")
        if choice.by == "folds"
        else ("warning", f"its score is optimistic, for it chose, {among}")
    )
    if choice.independent is None or choice.on_own is None:
        facts.append(("honest", "no score is left that took no part: record, or hold out, more"))
    else:
        flatters = comparison.metric.sign * (choice.on_own - choice.independent)
        facts.append(
            (
                "honest",
                f"{say(comparison, choice.independent, True)} {_PARTS[choice.by]}, against "
                f"{say(comparison, choice.on_own, True)} on what did: choosing flatters by "
                f"{say(comparison, flatters, True)}",
            )
        )
    facts += [("why", plain(reason)) for reason in choice.why_not]
    return [
        *facts,
        ("hint", "runs with --validation FRACTION keep blocks of the training for choosing"),
    ]


def _facts_of_validation(choice: Choice, apart: Apart, among: str) -> list[tuple[str, str]]:
    """Say both scores, the one that chose and the one that did not, and how far apart they are."""
    own = choice.comparison.unit if apart.metric.in_label_unit else apart.metric.unit
    unit = f" {own}" if own else ""
    title = plain(short(apart.metric.title, 100))
    facts = [
        ("chosen", f"by {title}, inside the training, {among}"),
        (
            "choosing",
            f"{plain(number(apart.chose))}{unit} where it chose: the best, in part by luck",
        ),
    ]
    if apart.held_out is None:
        facts.append(("honest", "no score is left that took no part: nothing was held out"))
    else:
        usual = f"; the mean over all {choice.n_rows}: {_better(apart.usual)}"
        facts += [
            (
                "honest",
                f"{plain(number(apart.held_out))}{unit} on held-out time, which chose nothing",
            ),
            ("apart", f"{_better(apart.better)} where it chose{usual}"),
        ]
        if choice.independent is None:
            facts.append(("warning", "the score asked for is not of held-out time alone"))
    if any(run.settings.get("patience") for run in choice.comparison.runs):
        facts.append(("note", "the same blocks stopped the training: they flatter themselves more"))
    return [*facts, *(("why", plain(reason)) for reason in choice.why_not)]


def _better(difference: float | None) -> str:
    """Say by how much a score is better, or worse."""
    if difference is None:
        return "-"
    return plain(f"{number(abs(difference))} {'better' if difference >= 0 else 'worse'}")
