"""Make the synthetic data sets of CEBRA and put them where `cebra.datasets` finds them."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from grevy.data import NOISES, cache_directories, write_all
from grevy.errors import GrevyError


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--noise",
        action="append",
        choices=NOISES,
        help="kind of noise; may be given several times (default: all five)",
    )
    parser.add_argument("--n-samples", type=int, default=15000, help="time steps (default: 15000)")
    parser.add_argument("--neurons", type=int, default=100, help="neurons (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="decides every draw (default: 0)")
    parser.add_argument(
        "--save-path",
        type=Path,
        help="folder to write to (default: synthetic/ in $CEBRA_DATADIR, else in "
        "$CEBRA_DATA_PATH, else in ~/.cebra)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse_arguments(arguments)
    folder = options.save_path or cache_directories()[0] / "synthetic"
    try:
        noises = options.noise or NOISES
        for path in write_all(noises, folder, options.seed, options.n_samples, options.neurons):
            print(path)
    except GrevyError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if "CEBRA_DATADIR" not in os.environ and "CEBRA_DATA_PATH" not in os.environ:
        root = shlex.quote(str(folder.resolve().parent))
        print(f"For plain cebra to find them: export CEBRA_DATADIR={root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
