"""Embed a Lab Streaming Layer stream as it comes, with a model trained by `grevy run --causal`.

    python examples/lsl.py results/run/models/cebra_model.pt counts

looks for a stream called "counts", whose channels are the neurons that the model was trained on, in
the same order, counted in the same bins. Each line printed is the time of a sample (on this
machine's LSL clock) and its embedding. Needs `pip install 'grevy[live]'`.
"""

import argparse
import sys
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import grevy

Array = npt.NDArray[np.float64]


def chunks(name: str, wait: float) -> Iterator[tuple[Array, Array]]:
    """Yield times (k,) and samples (k, N) of a stream as soon as they come; ends when it does."""
    import pylsl
    from pylsl.util import LostError

    found = pylsl.resolve_byprop("name", name, timeout=wait)
    if not found:
        raise SystemExit(f"no stream is called {name!r}; waited {wait:g} s.")
    # Without recover=False an inlet would wait for ever for an outlet that is gone.
    inlet = pylsl.StreamInlet(found[0], recover=False, processing_flags=pylsl.proc_clocksync)
    while True:
        try:
            sample, at = inlet.pull_sample()
            more, later = inlet.pull_chunk(timeout=0.0)  # what has come with it
        except LostError:
            return
        yield np.array([at, *later]), np.array([sample, *more], np.float64)


def main() -> None:
    """Print the embedding of every sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a .pt file of grevy")
    parser.add_argument("stream", help="name of the stream")
    parser.add_argument("--session", type=int, help="which encoder of several")
    parser.add_argument("--wait", type=float, default=10.0, help="seconds to look for the stream")
    arguments = parser.parse_args()
    stream = grevy.Stream(grevy.CEBRA.load(arguments.model), arguments.session)
    if stream.delay:
        print(f"the model is not causal: {stream.delay} steps behind", file=sys.stderr)
    for times, samples in chunks(arguments.stream, arguments.wait):
        for at, embedding in zip(times, stream.push(samples), strict=True):
            print(f"{at:.6f}", *(f"{value:.9g}" for value in embedding), flush=True)


if __name__ == "__main__":
    main()
