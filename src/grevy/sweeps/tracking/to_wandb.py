"""Weights & Biases: runs of a project, in a group that has the name of the sweep's folder."""

import os

import wandb

from grevy.errors import GrevyError
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.tracking.sending import Sent

PROJECT = "grevy"


def open_(folder: SweepFolder) -> "Wandb":
    """See that there is a key, where runs are sent at once.

    Raises
    ------
    GrevyError
        If there is none.
    """
    if wandb.setup().settings.mode == "online" and not _is_logged_in():
        raise GrevyError(
            "`track=wandb`: there is no key. Do `wandb login` first; or set WANDB_MODE=offline, "
            "and send the runs later with `wandb sync`."
        )
    return Wandb(folder)


def _is_logged_in() -> bool:
    try:
        return bool(wandb.login())
    except wandb.errors.UsageError:  # nobody to ask
        return False


class Wandb:
    """A project."""

    name = "wandb"

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder

    def send(self, run: Sent) -> None:
        """Make a run with settings, metrics, curves, and all files as an artifact."""
        made = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            group=run.sweep,
            id=run.run_id,
            name=run.name[:128],
            config=dict(run.settings),
            dir=str(self._folder.root),  # where it keeps what is not sent yet
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
        by_step: dict[int, dict[str, float]] = {}
        for name, curve in run.curves.items():
            for step, value in curve:
                by_step.setdefault(step, {})[_named(name)] = value
        for step in sorted(by_step):
            made.log(by_step[step], step=step)
        made.summary.update({_named(name): value for name, value in run.numbers.items()})
        artifact = wandb.Artifact(f"run-{run.run_id}", type="run")
        for file in run.files:
            artifact.add_file(str(run.root / file), name=file)
        made.log_artifact(artifact)
        made.finish()


def _named(name: str) -> str:
    return name.replace(".", "/")
