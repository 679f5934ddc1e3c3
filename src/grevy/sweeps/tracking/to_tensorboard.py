"""TensorBoard: event files in the folder of the sweep, of scalars, settings and figures."""

import secrets
import shutil
import struct
from datetime import datetime
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.tracking.sending import Sent

FOLDER = "tensorboard"


def open_(folder: SweepFolder) -> "TensorBoard":
    """Write below the folder of the sweep."""
    return TensorBoard(folder.root / FOLDER)


class TensorBoard:
    """A folder of event files, one folder a run."""

    name = "tensorboard"

    def __init__(self, root: Path) -> None:
        self._root = root

    def send(self, run: Sent) -> None:
        """Write a run; its folder appears when it is complete."""
        when = datetime.fromisoformat(run.finished).timestamp()
        place = self._root / run.run_id
        made = place.with_name(f".{run.run_id}.{secrets.token_hex(4)}.part")
        try:
            writer = EventFileWriter(str(made))
            for summary, step in _summaries(run):
                writer.add_event(Event(wall_time=when, step=step, summary=summary))
            writer.close()
            shutil.rmtree(place, ignore_errors=True)
            made.rename(place)
        finally:
            shutil.rmtree(made, ignore_errors=True)


def _summaries(run: Sent) -> list[tuple[Summary, int]]:
    found = [(hparams_pb(run.settings, trial_id=run.run_id), 0)]
    found += [(_scalar(name, value), 0) for name, value in run.numbers.items()]
    for name, curve in run.curves.items():
        found += [(_scalar(name, value), step) for step, value in curve]
    for file in run.files:
        if file.endswith(".png"):
            found.append((_image(Path(file).stem, (run.root / file).read_bytes()), 0))
    return found


def _scalar(name: str, value: float) -> Summary:
    return Summary(value=[Summary.Value(tag=name.replace(".", "/"), simple_value=value)])


def _image(name: str, png: bytes) -> Summary:
    width, height = struct.unpack(">II", png[16:24])  # of the first chunk
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
    return Summary(value=[Summary.Value(tag=name, image=image)])
