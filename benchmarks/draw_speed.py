"""Draw what `run.py` measured: docs/images/speed.png."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

HERE = Path(__file__).parent
OURS, THEIRS = "#0072b2", "#d55e00"


def said(case: str, before: str) -> str:
    """Return a case's name by itself, where it only says how it differs from another."""
    return case.replace("same", before) if case.startswith("same") else case


def drawn(rows: list[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(8.4, 0.36 * len(rows) + 1.2), dpi=150, layout="constrained")
    ax = figure.subplots()
    place = np.arange(len(rows))[::-1]
    for y, row in zip(place, rows, strict=True):
        ax.plot([row["ms"], row["cebra_ms"]], [y, y], color="#bbbbbb", linewidth=2, zorder=1)
        middle = (row["ms"] * row["cebra_ms"]) ** 0.5
        digits = 0 if row["ratio"] > 20 else 1
        ax.text(middle, y + 0.12, f"{row['ratio']:.{digits}f}x", ha="center", fontsize=9)
    ax.scatter([row["ms"] for row in rows], place, color=OURS, label="Grevy", zorder=2)
    ax.scatter([row["cebra_ms"] for row in rows], place, color=THEIRS, label="cebra", zorder=2)
    names = [said(row["case"], "T=1e4 N=120") for row in rows]
    ax.set_yticks(place, names, fontsize=9)
    ax.set_ylim(-0.6, len(rows) - 0.3)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("milliseconds a training step")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HERE / "results.json")
    parser.add_argument("--picture", type=Path, default=HERE.parent / "docs/images/speed.png")
    options = parser.parse_args()
    drawn(json.loads(options.results.read_text())["rows"]).savefig(options.picture)
    print(f"written to {options.picture}")


if __name__ == "__main__":
    main()
