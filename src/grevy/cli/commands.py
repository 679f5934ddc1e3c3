"""The `grevy` command: parsing only. Everything heavy is imported by the command that needs it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from grevy.errors import GrevyError

app = typer.Typer(
    name="grevy",
    help="From a neural recording and a behaviour to an embedding that can be believed.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

DATA, MODEL, SAMPLING = "Data", "Model and training", "Sampling"
EVALUATION, OUTPUT = "Evaluation", "Output"

# Flags of `grevy run` that do not decide its result.
_NOT_SETTINGS = ("config", "overwrite", "resume", "checkpoint_minutes", "quiet", "json_")

Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE_OR_FILE",
        help="Import this first, so that what it registers with cebra is known by name.",
        rich_help_panel=DATA,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def _data(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=DATA, show_default=False, **extra)


def _model(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=MODEL, show_default=False, **extra)


def _sampling(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=SAMPLING, show_default=False, **extra)


def _evaluation(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=EVALUATION, show_default=False, **extra)


def _output(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=OUTPUT, show_default=False, **extra)


@contextmanager
def _said_plainly() -> Iterator[None]:
    """End a user's mistake in one message and exit code 2, Ctrl-C in 130; a bug shows itself."""
    try:
        yield
        sys.stdout.flush()
    except GrevyError as error:
        print(f"grevy: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("grevy: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        # Python flushes once more on its way out, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def _notify(message: str) -> None:
    print(message, file=sys.stderr)


@app.command()
def run(
    dataset: Annotated[str | None, _data("Name of a data set; see `grevy datasets`.")] = None,
    data: Annotated[
        str | None, _data("File: .npy .npz .mat .h5 .csv .parquet .jl", metavar="FILE")
    ] = None,
    neural: Annotated[str | None, _data("Key of the neural data (T, N).", metavar="KEY")] = None,
    label: Annotated[
        list[str] | None,
        _data(
            "Label, repeatable. KIND is continuous, circular or discrete; by dtype if left out.",
            metavar="KEY[:KIND]",
        ),
    ] = None,
    period: Annotated[float | None, _data("One turn of circular labels; default 2 pi.")] = None,
    segments: Annotated[
        str | None, _data("Key of trial numbers or of [start, stop) runs.", metavar="KEY")
    ] = None,
    sampling_rate: Annotated[float | None, _data("In Hz.")] = None,
    trust: Annotated[bool | None, _data("Allow pickled code in FILE to run (.jl).")] = None,
    offline: Annotated[bool | None, _data("Never download.")] = None,
    imports: Imports = None,
    model_architecture: Annotated[
        str | None, _model("Name of a model; see `grevy models`. Default offset10-model.")
    ] = None,
    output_dimension: Annotated[int | None, _model("D. Default 3.")] = None,
    num_hidden_units: Annotated[int | None, _model("Default 32.")] = None,
    max_iterations: Annotated[int | None, _model("Training steps. Default 5000.")] = None,
    batch_size: Annotated[int | None, _model("Default 512; 0 takes the whole data.")] = None,
    learning_rate: Annotated[float | None, _model("Default 3e-4.")] = None,
    temperature: Annotated[float | None, _model("Default 1.")] = None,
    temperature_mode: Annotated[str | None, _model("constant (default) or auto.")] = None,
    min_temperature: Annotated[float | None, _model("For auto. Default 0.1.")] = None,
    distance: Annotated[str | None, _model("cosine (default) or euclidean.")] = None,
    precision: Annotated[str | None, _model("float32 (default) or bf16.")] = None,
    validation: Annotated[
        float | None, _model("Fraction of the training time whose loss is only watched.")
    ] = None,
    patience: Annotated[
        int | None, _model("Stop once so many looks (every 100 steps) saw no gain.")
    ] = None,
    device: Annotated[str | None, _model("auto (default), cpu, cuda, cuda:N or mps.")] = None,
    seed: Annotated[int | None, _model("Drawn and recorded if left out.")] = None,
    conditional: Annotated[
        str | None, _sampling("time, time_delta or delta_normal; by the labels if left out.")
    ] = None,
    time_offsets: Annotated[
        list[int] | None, _sampling("In steps, repeatable. Default 10.")
    ] = None,
    delta: Annotated[float | None, _sampling("Standard deviation for delta_normal.")] = None,
    prior: Annotated[str | None, _sampling("empirical or uniform over classes.")] = None,
    num_negatives: Annotated[int | None, _sampling("Default: the batch size.")] = None,
    hybrid: Annotated[bool | None, _sampling("Add a loss in time to the label's.")] = None,
    holdout: Annotated[float | None, _evaluation("Fraction of time held out. Default 0.2.")] = None,
    split: Annotated[
        str | None, _evaluation("blocks of time (default), or whole segments: trials.")
    ] = None,
    folds: Annotated[
        int | None, _evaluation("Train anew for each of so many folds as well. Default 0: off.")
    ] = None,
    nulls: Annotated[
        int | None, _evaluation("How often labels are moved in time to see chance. Default 50.")
    ] = None,
    null_retrain: Annotated[
        bool | None, _evaluation("Train the encoder anew on each moved label.")
    ] = None,
    seeds: Annotated[
        int | None, _evaluation("Train with so many seeds and compare. Default 1.")
    ] = None,
    umap: Annotated[
        bool | None, _evaluation("UMAP as a baseline too; needs `pip install 'grevy\\[umap]'`.")
    ] = None,
    config: Annotated[
        Path | None, _output("YAML file of these settings; flags win over it.")
    ] = None,
    output_dir: Annotated[str | None, _output("Default results/run.")] = None,
    resume: Annotated[bool, _output("Go on with an interrupted run in the folder.")] = False,
    checkpoint_minutes: Annotated[
        float, _output("How often training is kept in the folder. Default 1.")
    ] = 1.0,
    overwrite: Annotated[bool, _output("Replace a run in the folder, finished or not.")] = False,
    quiet: Annotated[bool, _output("Print only errors.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Load, train, evaluate, draw and archive: one recording to one run folder."""
    given = {
        name: value
        for name, value in locals().items()
        if name not in _NOT_SETTINGS and value is not None
    }
    with _said_plainly():
        from grevy.config import FILE_ONLY, make_config, read_config
        from grevy.runs import run_experiment

        settings = read_config(config) if config else {}
        # Only the person at the keyboard can trust a file, not another file.
        settings.pop("trust", None)
        # Another source than the file's takes its place, keys and all.
        replaced = {"dataset": ("data", *FILE_ONLY), "data": ("dataset",)}
        for source, others in replaced.items():
            for name in others if source in given else ():
                settings.pop(name, None)
        settings.update(given)
        if settings.get("batch_size") == 0:
            settings["batch_size"] = None
        done = run_experiment(
            make_config(settings),
            overwrite=overwrite,
            resume=resume,
            checkpoint_minutes=checkpoint_minutes,
            verbose=not quiet,
            notify=_notify if not quiet else lambda _message: None,
        )
        _report(done, quiet, json_)


def _report(done: Any, quiet: bool, as_json: bool) -> None:
    from grevy.report import describe_metrics
    from grevy.runs import output_paths

    paths = output_paths(done.folder)
    if as_json:
        result = {
            "output_dir": str(done.folder.root),
            "metrics": done.metrics,
            "config": done.config.model_dump(mode="json"),
        }
        print(json.dumps(result, indent=2))
    elif not quiet:
        print("\n".join(describe_metrics(done.metrics)))
        print()
        for name, path in paths.items():
            print(f"{name:10} {path}")


@app.command()
def datasets(imports: Imports = None, json_: Json = False) -> None:
    """List the data sets that are known by name."""
    with _said_plainly():
        from grevy.data import import_module, names

        for module in imports or ():
            import_module(module)
        print(json.dumps(names(), indent=2) if json_ else "\n".join(names()))


@app.command()
def models(
    neurons: Annotated[int, typer.Option(help="N, for the number of parameters.", min=1)] = 100,
    output_dimension: Annotated[int, typer.Option(help="D.", min=1)] = 3,
    num_hidden_units: Annotated[int, typer.Option(help="Hidden units.", min=1)] = 32,
    imports: Imports = None,
    json_: Json = False,
) -> None:
    """List the models: name, receptive field in steps, parameters."""
    with _said_plainly():
        from grevy.data import import_module
        from grevy.model import describe_models

        for module in imports or ():
            import_module(module)
        rows = describe_models(neurons, num_hidden_units, output_dimension)
        if json_:
            print(json.dumps([row._asdict() for row in rows], indent=2))
            return
        width = max(len(row.name) for row in rows)
        print(f"{'name':{width}}  receptive field  parameters")
        for row in rows:
            print(f"{row.name:{width}}  {row.receptive_field:15}  {row.parameters:10}")


@app.command()
def generate(
    noise: Annotated[
        list[str] | None,
        typer.Option(help="poisson, gaussian, laplace, uniform or t; all if left out."),
    ] = None,
    length: Annotated[int, typer.Option(help="T.", min=1)] = 15000,
    neurons: Annotated[int, typer.Option(help="N, even.", min=2)] = 100,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    save_path: Annotated[
        Path | None, typer.Option(help="Folder; the data cache if left out.")
    ] = None,
) -> None:
    """Make the synthetic data sets and write them where cebra finds them."""
    with _said_plainly():
        from grevy.data import NOISES, cache_directories, write_all

        folder = save_path or cache_directories()[0] / "synthetic"
        for path in write_all(noise or NOISES, folder, seed, length, neurons):
            print(path)


@app.command()
def verify(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Check that no file of a finished run has changed."""
    with _said_plainly():
        from grevy.archive import RunFolder, read_manifest
        from grevy.archive import verify as differences

        problems = differences(RunFolder(run))
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems)
            print(f"grevy: {run} is not as it was archived\n{listed}", file=sys.stderr)
            raise SystemExit(1)
        print(f"{run}: all {len(read_manifest(RunFolder(run))['files'])} files are as archived")


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the page of a finished run again: report.html, and its figures."""
    with _said_plainly():
        from grevy.archive import RunFolder, guarded
        from grevy.report import write_report

        folder = RunFolder(run)
        with guarded(folder):
            print(write_report(folder))


@app.command()
def evaluate(
    target: Annotated[
        Path,
        typer.Argument(help="Folder of a finished run, or an embedding (T, D) as .npy."),
    ],
    data: Annotated[
        str | None, _data("Data file or data set that an .npy file belongs to.")
    ] = None,
    neural: Annotated[str | None, _data("Key of the neural data.", metavar="KEY")] = None,
    label: Annotated[list[str] | None, _data("Repeatable.", metavar="KEY[:KIND]")] = None,
    period: Annotated[float | None, _data("One turn of circular labels; default 2 pi.")] = None,
    segments: Annotated[str | None, _data("Key of segments.", metavar="KEY")] = None,
    trust: Annotated[bool, _data("Allow pickled code in FILE to run (.jl).")] = False,
    imports: Imports = None,
    holdout: Annotated[
        float | None, _evaluation("Fraction of time held out. Default: the run's, or 0.2.")
    ] = None,
    split: Annotated[
        str | None, _evaluation("What is held out. Default: the run's, or blocks.")
    ] = None,
    gap: Annotated[
        int, _evaluation("Steps between training and test, for an .npy file.", min=0)
    ] = 0,
    nulls: Annotated[int | None, _evaluation("Default: the run's, or 50.")] = None,
    umap: Annotated[bool, _evaluation("UMAP as a baseline too.")] = False,
    seed: Annotated[int, _evaluation("Decides nulls and intervals. Default 0.", min=0)] = 0,
    json_: Json = False,
) -> None:
    """Score what exists: a run again, or an embedding that anything else has made."""
    with _said_plainly():
        from grevy.report import describe_metrics
        from grevy.runs import EvaluationRequest, evaluate_target

        request = EvaluationRequest(
            target, data, neural, tuple(label or ()), segments, trust, holdout, split, gap, nulls,
            umap, seed, period, tuple(imports or ()),
        )  # fmt: skip
        metrics = evaluate_target(request, _notify)
        print(json.dumps(metrics, indent=2) if json_ else "\n".join(describe_metrics(metrics)))


@app.command()
def embed(
    model: Annotated[
        Path, typer.Argument(help="A .pt file of grevy or cebra.", metavar="MODEL.pt")
    ],
    data: Annotated[str, typer.Argument(help="A data file, or the name of a data set.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write (T, D), as .npy.")],
    neural: Annotated[str | None, typer.Option(help="Key of the neural data.")] = None,
    segments: Annotated[str | None, typer.Option(help="Key of segments.")] = None,
    session: Annotated[int | None, typer.Option(help="Which encoder of several.", min=0)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    trust: Annotated[bool, typer.Option(help="Allow pickled code in the files to run.")] = False,
    imports: Imports = None,
) -> None:
    """Embed a recording with a trained model."""
    with _said_plainly():
        from grevy.runs import embed_file

        shape = embed_file(
            model, data, output, neural=neural, segments=segments, session=session,
            device=device, trust=trust, imports=imports or [],
        )  # fmt: skip
        print(f"{output}: {shape[0]} time steps x {shape[1]} dimensions")


def main() -> None:
    """Run the command line."""
    app()
