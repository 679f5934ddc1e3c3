"""Run one CEBRA experiment end to end: load, train, evaluate, draw, archive.

The functions here are thin: each calls the one of the `grevy` package that does the work.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from grevy import CEBRA, Checkpoints, GrevyError, Recording, archive
from grevy.archive import open_folder, write_decoded
from grevy.cli import in_flags, speaking
from grevy.config import RunConfig, make_config
from grevy.data import SplitKind, join_recordings, load
from grevy.evaluation import USUAL_NULLS, evaluate
from grevy.model import gather_recordings, sampling_plan
from grevy.report import describe_metrics
from grevy.runs import (
    assess,
    draw,
    embed_recordings,
    finished_run,
    holdout_split,
    keeping_training,
    make_model,
    output_paths,
    settle_seed,
    settled_settings,
    smoothing_reach,
    train,
    write_outcome,
)

# The manual's, not those of `grevy run`.
MANUAL = {
    "max_iterations": 5000, "batch_size": 512, "learning_rate": 3e-4, "temperature": 1.0,
    "time_offsets": [10],
}  # fmt: skip

Neural = Any  # an array (T, N), a Recording, or a list of either
Labels = Any  # an array, a Label, a tuple of several, or None


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    default = RunConfig.model_fields
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="demo-continuous", help="see `grevy datasets`")
    parser.add_argument("--model-architecture", default=default["model_architecture"].default)
    parser.add_argument("--output-dimension", type=int, default=default["output_dimension"].default)
    parser.add_argument("--max-iterations", type=int, default=MANUAL["max_iterations"])
    parser.add_argument("--batch-size", type=int, default=MANUAL["batch_size"])
    parser.add_argument("--learning-rate", type=float, default=MANUAL["learning_rate"])
    parser.add_argument("--temperature", type=float, default=MANUAL["temperature"])
    parser.add_argument("--time-offsets", type=int, nargs="+", default=MANUAL["time_offsets"])
    parser.add_argument("--distance", default=default["distance"].default)
    parser.add_argument("--conditional", help="time, time_delta or delta_normal; by the labels")
    parser.add_argument("--delta", type=float, help="standard deviation for delta_normal")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--seed", type=int, help="drawn and recorded if left out")
    parser.add_argument("--holdout", type=float, default=0.0, help="fraction held out in blocks")
    parser.add_argument("--split", default=default["split"].default, help="blocks or segments")
    parser.add_argument("--output-dir", default="./results/synthetic_experiment")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--overwrite", action="store_true", help="replace a run, finished or not")
    return parser.parse_args(arguments)


def setup_directories(output_dir: str | Path) -> Path:
    """Make the output folder with `models`, `embeddings`, `figures` and `logs`."""
    return open_folder(output_dir, overwrite=True).root


def load_synthetic_data(dataset_name: str) -> tuple[Neural, Labels, Any]:
    """Load a data set by name.

    Returns
    -------
    neural : ndarray of shape (T, N), or a list of them for several sessions
    labels : ndarray of shape (T,) or (T, L), a tuple of them if there are several, None if none
        For several sessions each is a list.
    dataset : Recording, or a list of them
        The same with names, kinds, segments and the true latent; the other functions take it in
        place of `neural`.
    """
    recordings = list(load(dataset_name))
    columns = [
        [label.unit_values for label in column]
        for column in zip(*(recording.labels for recording in recordings), strict=True)
    ]
    several = len(recordings) > 1
    labels = [column if several else column[0] for column in columns]
    neural = [recording.neural for recording in recordings]
    return (
        neural if several else neural[0],
        None if not labels else labels[0] if len(labels) == 1 else tuple(labels),
        recordings if several else recordings[0],
    )


def train_cebra_model(
    neural: Neural, labels: Labels, config: dict[str, Any], resume: bool = False
) -> CEBRA:
    """Train a model as `config` says: settings of `grevy.config.RunConfig`, by name."""
    settings = make_config({"dataset": "arrays", "holdout": 0.0, **MANUAL, **config})
    print("\n".join(f"{name}: {value}" for name, value in config.items()))
    recordings = _recordings(neural, labels)
    checkpoints = _checkpoints(config["output_dir"]) if "output_dir" in config else None
    settings = settle_seed(settings, checkpoints, resume)
    model = make_model(settings, verbose=True)
    reach = smoothing_reach(settings, recordings)
    split = holdout_split(model, recordings, settings.holdout, settings.split, reach)
    train(model, recordings, split, settings, checkpoints, resume)
    return model


def evaluate_embedding(
    model: CEBRA,
    neural: Neural,
    labels: Labels,
    output_path: str | Path,
    holdout: float = 0.0,
    nulls: int = USUAL_NULLS,
    split: SplitKind = "blocks",
) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
    """Embed, draw and score; `holdout` is the fraction that the model did not train on.

    `split` says whether that is blocks of time or whole segments. Where there is a holdout, labels
    moved in time are scored too, `nulls` times.
    """
    recordings = _recordings(neural, labels)
    embedding = embed_recordings(model, recordings)
    whole = join_recordings(recordings)
    create_visualizations(embedding, whole, output_path, model)
    held_out = holdout_split(model, recordings, holdout, split)
    settings = make_config(
        {"dataset": "arrays", "holdout": holdout, "distance": model.distance, "nulls": nulls}
    )
    found = assess(model, recordings, embedding, held_out, settings)
    folder = archive.RunFolder(Path(output_path))
    (folder / archive.DECODED).parent.mkdir(parents=True, exist_ok=True)
    write_decoded(folder, found.decoded)
    return embedding, found.metrics


def create_visualizations(
    embedding: np.ndarray[Any, Any],
    labels: Labels,
    output_path: str | Path,
    model: CEBRA | None = None,
) -> None:
    """Draw `figures/embedding_visualization.png` in the output folder."""
    path = Path(output_path) / archive.FIGURE
    path.parent.mkdir(parents=True, exist_ok=True)
    archive.write_figure(path, draw(embedding, _labelled(embedding, labels), model))


def calculate_metrics(embedding: np.ndarray[Any, Any], labels: Labels) -> dict[str, Any]:
    """Decode the labels linearly: `train_r2`, `test_r2` and `prediction_r2` if continuous."""
    return evaluate(embedding, _labelled(embedding, labels)).metrics


def save_results(
    model: CEBRA,
    embedding: np.ndarray[Any, Any],
    metrics: dict[str, Any],
    config: dict[str, Any],
    output_path: str | Path,
    dataset: Any = None,
) -> None:
    """Archive a run; the manifest has the checksum of the data where `dataset` is given."""
    folder = archive.RunFolder(setup_directories(output_path))
    recordings = [] if dataset is None else _recordings(dataset, None)
    with archive.guarded(folder):
        write_outcome(folder, model, embedding, metrics, config, recordings)
    _checkpoints(output_path).prune(keep=0)


def _recordings(neural: Neural, labels: Labels) -> tuple[Recording, ...]:
    given = () if labels is None else labels if isinstance(labels, tuple) else (labels,)
    return gather_recordings(neural, given)[0]


def _labelled(embedding: np.ndarray[Any, Any], labels: Labels) -> Recording:
    """Take labels as they come; an embedding is finite numbers over time, as neural data are."""
    if isinstance(labels, Recording):
        return labels
    return _recordings(embedding, labels)[0]


def _checkpoints(output_dir: str | Path) -> Checkpoints:
    return Checkpoints(Path(output_dir) / archive.CHECKPOINTS)


def main(arguments: Sequence[str] | None = None) -> int:
    options = vars(parse_arguments(arguments))
    flags = {name: f"--{name.replace('_', '-')}" for name in options}
    with speaking(flags):
        return run(options, flags)


def run(options: dict[str, Any], flags: dict[str, str]) -> int:
    """Run the experiment that the command line asks for, and return the exit code."""
    overwrite, resume = options.pop("overwrite"), options.pop("resume")
    try:
        done = finished_run(make_config(options)) if resume and not overwrite else None
        if done is not None:
            print(f"{done.folder.root} is already finished; nothing was changed.")
            return _tell(done.folder, done.metrics, flags)
        with archive.opened(options["output_dir"], overwrite) as folder:
            settings = make_config({**options, "folds": 0, "nulls": USUAL_NULLS})
            if not (resume or overwrite):
                _checkpoints(folder.root).refuse_unfinished(folder.root)
            _, _, dataset = load_synthetic_data(settings.dataset or "")
            model = train_cebra_model(dataset, None, options, resume)
            output = setup_directories(settings.output_dir)
            with archive.guarded(folder):
                archive.unseal(folder)
                with keeping_training(_checkpoints(output)):
                    embedding, metrics = evaluate_embedding(
                        model, dataset, None, output, settings.holdout, split=settings.split
                    )
            plan = sampling_plan(model.parameters, _recordings(dataset, None))
            settled = settled_settings(model, plan)
            resolved = {**settings.model_dump(mode="json"), **settled}
            save_results(model, embedding, metrics, resolved, output, dataset)
    except GrevyError as error:
        print(f"error: {in_flags(str(error), flags)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return _tell(folder, metrics, flags)


def _tell(folder: archive.RunFolder, metrics: dict[str, Any], flags: dict[str, str]) -> int:
    print(in_flags("\n".join(describe_metrics(metrics)), flags))
    for name, path in output_paths(folder).items():
        print(f"{name}: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
