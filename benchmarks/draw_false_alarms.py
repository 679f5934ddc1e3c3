"""Draw what `false_alarms.py` found about unrelated labels: docs/images/false-alarms.png."""

import argparse
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="JSON file of false_alarms.py")
    parser.add_argument("picture", type=Path, help="PNG file to write")
    options = parser.parse_args()
    rows = json.loads(options.results.read_text())["unrelated"]
    figure = Figure(figsize=(9, 3.6), dpi=150, layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    named = (("blocked", "Held-out blocks"), ("random", "Random split"))
    for ax, (split, name), colour in zip(axes, named, ("#0072b2", "#d55e00"), strict=True):
        p = np.array([row[split]["p"] for row in rows])
        ax.hist(p, np.linspace(0, 1, 21), color=colour)
        ax.axvline(0.05, color="#222222", linestyle="--", linewidth=1)
        ax.set_title(f"{name}: p < 0.05 in {(p < 0.05).mean():.1%} of {len(p)}", loc="left")
        ax.set_xlabel("p")
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("recordings")
    figure.suptitle("Smooth labels that have nothing to do with the neurons", x=0.01, ha="left")
    figure.savefig(options.picture)


if __name__ == "__main__":
    main()
