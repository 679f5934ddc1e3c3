"""One run, from a configuration to a sealed folder: load, train, evaluate, draw, archive."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grevy import archive
from grevy.archive import RunFolder
from grevy.config import RunConfig, config_text, run_id
from grevy.data import Array, Recording, Split, data_checksum, join_recordings, steps_inside
from grevy.evaluation import require_umap
from grevy.report import describe_data, summarise, write_report
from grevy.runs.adding import check_base, run_model, settle_base
from grevy.runs.assessment import assess, embed_recordings
from grevy.runs.finished import Run, finished_run
from grevy.runs.holding_out import (
    holdout_split,
    settle_folds,
    settle_seed,
    training_parts,
)
from grevy.runs.preparing import (
    load_recordings,
    prepare_recordings,
    settle_offsets,
    smoothing_reach,
)
from grevy.runs.provenance import environment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from grevy.engine import SamplingPlan
    from grevy.model import CEBRA, Checkpoints

_LOG = logging.getLogger(__name__)


def run_experiment(
    config: RunConfig,
    *,
    overwrite: bool = False,
    resume: bool = False,
    checkpoint_minutes: float = 1.0,
    verbose: bool = True,
    recordings: Sequence[Recording] | None = None,
    seen: Callable[[int, float], object] | None = None,
) -> Run:
    """Do one run; what a user should know on the way is logged.

    Parameters
    ----------
    config : RunConfig
    overwrite : bool
        Whether a run in the output folder, finished or not, may be replaced.
    resume : bool
        Go on from the checkpoints that an unfinished run left in the output folder, if any. A run
        there that is finished, with the same settings and data, is returned as it is.
    checkpoint_minutes : float
        How often training is kept there.
    verbose : bool
        Show progress on standard error.
    recordings : sequence of Recording, optional
        What the configuration names, where it is loaded already: as by `load_recordings`.
    seen : callable, optional
        Called at each look at the validation blocks with the steps trained and the goodness of fit
        there, in bits. What it raises ends the run; the training so far is kept.

    Raises
    ------
    GrevyError
        If settings or data are unusable, or the folder cannot be written; or it holds an unfinished
        training, and neither `resume` nor `overwrite` is given; or a finished run, without
        `overwrite`, unless it is the same and `resume` is given.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM; the training so far is kept in the folder.
    """
    from grevy.model import Checkpoints

    began = time.monotonic()
    config = settle_base(config)
    done = finished_run(config, recordings) if resume and not overwrite else None
    if done is not None:
        _LOG.info(f"{done.folder.root} is already finished; nothing was changed.")
        return done
    with archive.opened(config.output_dir, overwrite) as folder:
        checkpoints = Checkpoints(folder / archive.CHECKPOINTS, checkpoint_minutes)
        if not (resume or overwrite):
            checkpoints.refuse_unfinished(folder.root)
        if recordings is None:
            recordings = load_recordings(config)
        check_base(config, recordings)
        config = settle_seed(config, checkpoints, resume)
        config = settle_offsets(config, recordings)
        model = run_model(config, verbose)
        reach = smoothing_reach(config, recordings)
        split = holdout_split(model, recordings, config.holdout, config.split, reach)
        prepare_recordings(recordings, split, config, quiet=False)  # what is wrong is said now
        if config.umap:
            require_umap()
        config = settle_folds(model, recordings, config)
        _LOG.info(describe_data(recordings))
        config = train(model, recordings, split, config, checkpoints, resume, seen)
        with keeping_training(checkpoints):
            embedding = embed_recordings(model, recordings)
            found = assess(model, recordings, embedding, split, config)
            figure = draw(embedding, join_recordings(recordings), model)
        settings = config.model_dump(mode="json")
        with archive.guarded(folder):
            archive.unseal(folder)
            archive.write_figure(folder / archive.FIGURE, figure)
            archive.write_decoded(folder, found.decoded)
            summary = write_outcome(
                folder, model, embedding, found.metrics, settings, recordings, began
            )
        checkpoints.prune(keep=0)
    return Run(folder, config, found.metrics, summary)


def train(
    model: "CEBRA",
    recordings: Sequence[Recording],
    split: Split | None,
    config: RunConfig,
    checkpoints: "Checkpoints | None",
    resume: bool,
    seen: Callable[[int, float], object] | None = None,
) -> RunConfig:
    """Train the model on the training blocks; return the configuration as resolved."""
    from grevy.model import check_one_row_for_each_step, sampling_plan

    check_one_row_for_each_step(model.parameters, recordings[0].n_neurons)
    parts, validation = training_parts(model, recordings, split, config)
    if validation is not None:
        validation = replace(validation, seen=seen)
    plan = sampling_plan(model.parameters, recordings)
    tell_short_segments(model, recordings, plan)
    fewest = min(int(np.diff(recording.segments).sum()) for recording in parts)
    if config.batch_size is not None and config.batch_size > fewest:
        _LOG.warning(
            f"the batch size of {config.batch_size} exceeds the {fewest} time steps to train on; "
            f"steps are then drawn more than once in a batch."
        )
    try:
        given = parts if len(parts) > 1 else parts[0]
        if config.base_model is not None:  # short, so that nothing is kept of it on the way
            model.fit(given, adapt=True)
        else:
            model.fit(given, checkpoints=checkpoints, resume=resume, validation=validation)
    except (KeyboardInterrupt, SystemExit):
        kept = checkpoints.newest() if checkpoints else []
        if kept:
            _LOG.warning(
                f"interrupted after step {model.n_steps_} of {model.max_iterations}. The model so "
                f"far is kept in {kept[0]}; run the same command with `resume=True` to go on."
            )
        raise
    settled = {**settled_settings(model, plan), "nulls": config.n_nulls}
    return config.model_copy(update=settled)


def tell_short_segments(
    model: "CEBRA", recordings: Sequence[Recording], plan: "SamplingPlan"
) -> None:
    """Warn once of segments (short trials, say) in which no sample for the training fits."""
    from grevy.model import model_receptive_field

    needed = plan.needs(sum(model_receptive_field(model.parameters)))
    why = "a window and the time offset" if plan.in_time else "a window"
    lengths = np.concatenate([np.diff(each.segments)[:, 0] for each in recordings])
    short = int((lengths < needed).sum())
    if short and plan.pad_short:
        _LOG.info(
            f"{short} of {len(lengths)} segments are shorter than {why} ({needed} steps), and "
            f"are padded with their first and last step."
        )
    elif short:
        _LOG.warning(
            f"{short} of {len(lengths)} segments are shorter than {why} ({needed} steps), and "
            f"nothing in them is trained on; they are embedded all the same. Use a model with a "
            f"shorter receptive field, or `pad_short=True`, if they matter."
        )


@contextmanager
def keeping_training(checkpoints: "Checkpoints") -> Iterator[None]:
    """Say on Ctrl-C, and on a batch system's SIGTERM, that the training itself is done and kept.

    Raises
    ------
    KeyboardInterrupt, SystemExit
        After that, as in training.
    """
    from grevy.engine import terminable

    try:
        with terminable():
            yield
    except (KeyboardInterrupt, SystemExit):
        for path in checkpoints.newest()[:1]:
            _LOG.warning(
                f"interrupted while evaluating. The training is done and kept in {path}; run the "
                f"same command with `resume=True` to go on."
            )
        raise


def settled_settings(model: "CEBRA", plan: "SamplingPlan") -> dict[str, Any]:
    """Name what a training has settled: the seed, the device, and how samples were drawn."""
    settled = {"seed": model.seed_, "device": model.device_, "prior": plan.prior}
    if plan.conditional != "discrete":
        settled["conditional"] = plan.conditional
    return settled


def draw(embedding: Array, whole: Recording, model: "CEBRA | None" = None) -> "Figure":
    """Draw the manual's figure; with the loss where the model is given."""
    from grevy.report import embedding_figure

    inside = steps_inside(whole.segments)
    return embedding_figure(
        embedding[inside],
        [label.take(inside) for label in whole.labels],
        history=model.solver_.log["total"] if model is not None else None,
        chance=model.chance_ if model is not None else None,
        title=whole.source,
        sampling_rate=whole.sampling_rate,
    )


def write_outcome(
    folder: RunFolder,
    model: "CEBRA",
    embedding: Array,
    metrics: dict[str, Any],
    settings: dict[str, Any],
    recordings: Sequence[Recording],
    began: float | None = None,
) -> str:
    """Write everything but figure and decoded labels into the run folder, seal it, and report.

    Parameters
    ----------
    began : float, optional
        `time.monotonic` at the start of the run, for its duration.

    Returns
    -------
    str
        The summary, as written.
    """
    sources = "; ".join(recording.source for recording in recordings)
    summary = summarise(settings, metrics, embedding.shape, sources)
    archive.write_bytes(folder / archive.CONFIG, config_text(settings).encode())
    model.save(folder / archive.MODEL)
    archive.write_array(folder / archive.EMBEDDING, embedding)
    if recordings:
        archive.write_labels(folder, join_recordings(recordings))
    archive.write_history(folder / archive.HISTORY, model.solver_.log)
    archive.write_results(folder, settings, metrics, embedding.shape)
    archive.write_bytes(folder / archive.SUMMARY, summary.encode())
    identity = run_id(settings, data_checksum(recordings))
    seconds = None if began is None else round(time.monotonic() - began, 3)
    archive.seal(folder, recordings, identity, seconds, environment())
    write_report(folder)
    return summary


def output_paths(folder: RunFolder) -> dict[str, Path]:
    """Name what a user will want to open."""
    return {
        "report": folder / archive.REPORT,
        "figure": folder / archive.FIGURE,
        "summary": folder / archive.SUMMARY,
        "embedding": folder / archive.EMBEDDING,
        "model": folder / archive.MODEL,
    }
