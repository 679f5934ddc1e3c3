"""MLflow: runs of an experiment that has the name of the sweep's folder."""

import os
from datetime import datetime
from pathlib import PurePosixPath

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from grevy.errors import GrevyError, cut_to
from grevy.sweeps.folder import SweepFolder
from grevy.sweeps.tracking.sending import Sent

# Seconds for an answer, and times to ask again, where MLflow would take minutes; and no line is
# printed for each run. What a user has set goes before.
_USUAL = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
# The most that a server takes at once, and of one text.
METRICS, PARAMS, CHARACTERS = 1000, 100, 6000
RUN_TAG = "grevy.run"


def open_(folder: SweepFolder) -> "MLflow":
    """Find or make the experiment, where ``MLFLOW_TRACKING_URI`` says.

    Raises
    ------
    GrevyError
        If there is no server, or it refuses.
    """
    for name, value in _USUAL.items():
        os.environ.setdefault(name, value)
    client = MlflowClient()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or folder.root.absolute().name
    try:
        found = client.get_experiment_by_name(name)
        experiment = found.experiment_id if found else client.create_experiment(name)
    except MlflowException as error:
        raise GrevyError(
            f"`track=mlflow`: {client.tracking_uri} cannot be used: "
            f"{cut_to(' '.join(str(error).split()), 150)}. Set MLFLOW_TRACKING_URI to the address "
            f"of a server that runs, or to a file such as sqlite:///mlflow.db."
        ) from error
    return MLflow(client, experiment)


class MLflow:
    """An experiment."""

    name = "mlflow"

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment

    def send(self, run: Sent) -> None:
        """Make a run with settings, metrics, curves and all files, in place of one cut off."""
        kept = f"tags.`{RUN_TAG}` = '{run.run_id}'"
        for each in self._client.search_runs([self._experiment], kept):
            if each.info.status == "FINISHED":
                return
            self._client.delete_run(each.info.run_id)
        when = int(1000 * datetime.fromisoformat(run.finished).timestamp())
        made = self._client.create_run(
            self._experiment, run_name=run.name[:200], tags={RUN_TAG: run.run_id}
        )
        to = made.info.run_id
        params = [Param(name, str(value)[:CHARACTERS]) for name, value in run.settings.items()]
        for at in range(0, len(params), PARAMS):
            self._client.log_batch(to, params=params[at : at + PARAMS])
        points = [Metric(name, value, when, 0) for name, value in run.numbers.items()]
        for name, curve in run.curves.items():
            points += [Metric(name, value, when, step) for step, value in curve]
        for at in range(0, len(points), METRICS):
            self._client.log_batch(to, metrics=points[at : at + METRICS])
        for file in run.files:
            inside = str(PurePosixPath(file).parent)
            self._client.log_artifact(to, str(run.root / file), None if inside == "." else inside)
        self._client.set_terminated(to, "FINISHED")
