"""The commands: parsing only. Everything heavy is imported by the command that needs it."""

import json
import platform
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from grevy.cli import sweeping
from grevy.cli.comparing import best, compare
from grevy.cli.flags import Command, flags_of, takes_settings
from grevy.cli.speech import ending_plainly, in_flags, speaking
from grevy.errors import GrevyError, shown
from grevy.version import __version__

app = typer.Typer(
    name="grevy",
    help="From a neural recording and a behaviour to an embedding that can be believed.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

EVALUATION, OUTPUT = "Evaluation", "Output"

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]


def _evaluation(help: str, **extra: Any) -> Any:
    return typer.Option(help=help, rich_help_panel=EVALUATION, show_default=False, **extra)


def _output(help: str) -> Any:
    return typer.Option(help=help, rich_help_panel=OUTPUT, show_default=False)


def _print_version(asked: bool) -> None:
    if not asked:
        return
    print(f"grevy {__version__}\npython {platform.python_version()}", flush=True)
    with ending_plainly({}), speaking({}):
        from grevy.runs import environment

        found = environment()
        for name in ("cebra", "torch", "numpy"):
            print(f"{name} {found['versions'][name]}")
        print(f"compiled loops: {found['computing']['compiled_loops']}")
    raise typer.Exit


@app.callback()
def _program(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the versions of what computes.", callback=_print_version,
            is_eager=True,
        ),
    ] = False,
) -> None:  # fmt: skip
    pass


@takes_settings(app)
def run(
    context: typer.Context,
    config: Annotated[
        Path | None, _output("YAML file of these settings; flags win over it.")
    ] = None,
    resume: Annotated[bool, _output("Go on with an interrupted run in the folder.")] = False,
    checkpoint_minutes: Annotated[
        float, _output("How often training is kept in the folder. Default 1.")
    ] = 1.0,
    overwrite: Annotated[bool, _output("Replace a run in the folder, finished or not.")] = False,
    quiet: Annotated[bool, _output("Print only errors.")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the metrics as JSON.", rich_help_panel=OUTPUT)
    ] = False,
    **settings: Any,
) -> None:
    """Load, train, evaluate, draw and archive: a recording, or several, to one run folder."""
    given = {name: value for name, value in settings.items() if value is not None}
    checked = _config(config, given)  # what is wrong with it is said before anything heavy loads

    from grevy.runs import keep_to_granted_threads, load_what_trains, run_experiment

    keep_to_granted_threads()
    load_what_trains()
    done = run_experiment(
        checked,
        overwrite=overwrite,
        resume=resume,
        checkpoint_minutes=checkpoint_minutes,
        verbose=not quiet,
    )
    _tell(done, context, quiet, json_)


@takes_settings(
    app, "data", "trust", "imports", "max_iterations", "batch_size", "learning_rate", "device",
    "holdout", "split", "nulls", "umap",
    of_a_file=True,
)  # fmt: skip
def adapt(
    context: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(help="Folder of a finished run, or a .pt file of a model of one recording."),
    ],
    output_dir: Annotated[Path, typer.Option("--output-dir", "-o", help="Folder of the new run.")],
    overwrite: Annotated[bool, _output("Replace a run in the folder.")] = False,
    quiet: Annotated[bool, _output("Print only errors.")] = False,
    json_: Json = False,
    **settings: Any,
) -> None:
    """Add a recording to a trained model, and evaluate, report and archive it as a run.

    To a run of several recordings an encoder for the new one is added, trained to meet the others,
    which stay as they are, bit for bit. A model of one recording gets a new first layer for other
    neurons; the layers above stay as they are.
    """
    from grevy.runs import (
        adding_config,
        keep_to_granted_threads,
        load_what_trains,
        run_experiment,
    )

    given = {name: value for name, value in settings.items() if value is not None}
    if given.get("batch_size") == 0:
        given["batch_size"] = None
    checked = adding_config(target, {**given, "output_dir": str(output_dir)})
    keep_to_granted_threads()
    load_what_trains()
    _tell(run_experiment(checked, overwrite=overwrite, verbose=not quiet), context, quiet, json_)


def _config(file: Path | None, given: dict[str, Any]) -> Any:
    """Check settings from a file and from flags, which win."""
    from grevy.config import make_config, read_config, read_sessions, settings_of_a_file

    trust, imports = given.get("trust", False), given.get("imports", ())
    settings = read_config(file, trust=trust, imports=imports) if file else {}
    if "sessions" in given:
        of_files = read_sessions(Path(given["sessions"]))
        given = {**of_files, **given, "sessions": of_files["sessions"]}
    # Another source than the file's takes its place; keys belong to files, not to a data set.
    replaced = {
        "dataset": ("data", "sessions", *settings_of_a_file()),
        "data": ("dataset", "sessions"),
        "sessions": ("dataset", "data"),
    }
    for source, others in replaced.items():
        for name in others if source in given else ():
            settings.pop(name, None)
    settings.update(given)
    if settings.get("batch_size") == 0:
        settings["batch_size"] = None
    return make_config(settings)


def _tell(done: Any, context: typer.Context, quiet: bool, as_json: bool) -> None:
    from grevy.report import describe_metrics
    from grevy.runs import output_paths

    if as_json:
        result = {
            "output_dir": str(done.folder.root),
            "metrics": done.metrics,
            "config": done.config.model_dump(mode="json"),
        }
        print(json.dumps(result, indent=2))
    elif not quiet:
        _print_metrics(describe_metrics(done.metrics), context)
        print()
        for name, path in output_paths(done.folder).items():
            print(f"{name:10} {shown(str(path))}")


def _print_metrics(lines: list[str], context: typer.Context) -> None:
    print(shown(in_flags("\n".join(lines), flags_of(context))))


@takes_settings(app, "imports")
def datasets(
    pattern: Annotated[
        str | None, typer.Argument(help="Part of a name, or a pattern such as 'area2-*'.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every name, one a line.")] = False,
    json_: Json = False,
    **settings: Any,
) -> None:
    """List the data sets that are known by name."""
    from grevy.data import grouped_names, import_module, matching_names, names

    for module in settings["imports"] or ():
        import_module(module)
    found = names() if pattern is None else matching_names(names(), pattern)
    if json_:
        print(json.dumps(found, indent=2))
    elif all_ or pattern is not None:
        print(shown("\n".join(found)))
    else:
        for origin, lines in grouped_names(found).items():
            print(f"{origin}:")
            for name, count in lines:
                print(shown(f"  {name}" + f" ({count} data sets)" * (count > 1)))
        print("\n`grevy datasets 'PATTERN'` lists a family, `grevy datasets --all` everything.")


@takes_settings(app, "max_bytes", "trust")
def inspect(
    file: Annotated[Path, typer.Argument(help="A data file.", metavar="FILE")], **settings: Any
) -> None:
    """Say what a data file holds, and with which command to start."""
    from grevy.cli.inspecting import described
    from grevy.data import inspect_file

    found = inspect_file(file, trust=bool(settings["trust"]), max_bytes=settings["max_bytes"])
    print("\n".join(described(found)))


@takes_settings(app, "imports")
def models(
    neurons: Annotated[int, typer.Option(help="N, for the number of parameters.", min=1)] = 100,
    output_dimension: Annotated[int, typer.Option(help="D.", min=1)] = 3,
    num_hidden_units: Annotated[int, typer.Option(help="Hidden units.", min=1)] = 32,
    json_: Json = False,
    **settings: Any,
) -> None:
    """List the models: name, receptive field in steps, parameters."""
    from grevy.data import import_module
    from grevy.model import describe_models

    for module in settings["imports"] or ():
        import_module(module)
    rows = describe_models(neurons, num_hidden_units, output_dimension)
    if json_:
        print(json.dumps([row._asdict() for row in rows], indent=2))
        return
    width = max(len(row.name) for row in rows)
    print(f"{'name':{width}}  receptive field  parameters")
    for row in rows:
        print(f"{shown(row.name):{width}}  {row.receptive_field:15}  {row.parameters:10}")


@app.command(cls=Command)
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
    from grevy.data import NOISES, cache_directories, write_all

    folder = save_path or cache_directories()[0] / "synthetic"
    for path in write_all(noise or NOISES, folder, seed, length, neurons):
        print(shown(str(path)))


@app.command(cls=Command)
def verify(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Check that no file of a finished run has changed.

    Whoever can write to the folder can replace all of it, manifest included, and no check would
    tell: keep the manifest's checksum elsewhere if that matters.
    """
    from grevy.archive import RunFolder, read_manifest
    from grevy.archive import verify as differences

    problems = differences(RunFolder(run))
    if problems:
        listed = "\n".join(f"  {problem}" for problem in problems)
        print(shown(f"grevy: {run} is not as it was archived\n{listed}"), file=sys.stderr)
        raise SystemExit(1)
    count = len(read_manifest(RunFolder(run))["files"])
    print(shown(f"{run}: all {count} files are as archived"))


@app.command(cls=Command)
def report(run: Annotated[Path, typer.Argument(help="Folder of a finished run.")]) -> None:
    """Write the page of a finished run again: report.html, and its figures."""
    from grevy.archive import RunFolder, guarded
    from grevy.report import write_report

    folder = RunFolder(run)
    with guarded(folder):
        print(shown(str(write_report(folder))))


@takes_settings(
    app, "neural", "label", "period", "segments", "label_data", "transpose", "max_bytes", "trust",
    "imports", "bin", "units", "gaps",
    data="Data file or data set that an .npy file belongs to.",
    holdout="Fraction of time held out. Default: the run's, or 0.2.",
    split="What is held out. Default: the run's, or blocks.",
    nulls="Default: the run's, or 1000.",
    umap="UMAP as a baseline too.",
)  # fmt: skip
def evaluate(
    context: typer.Context,
    target: Annotated[
        Path,
        typer.Argument(help="Folder of a finished run, or an embedding (T, D) as .npy."),
    ],
    gap: Annotated[
        int, _evaluation("Steps between training and test, for an .npy file.", min=0)
    ] = 0,
    window: Annotated[
        int,
        _evaluation("Steps that the encoder of an .npy file saw; baselines see the same.", min=1),
    ] = 1,
    causal: Annotated[
        bool,
        _evaluation("That window ends at the present step, as of an encoder made with --causal."),
    ] = False,
    seed: Annotated[int, _evaluation("Decides nulls and intervals. Default 0.", min=0)] = 0,
    json_: Json = False,
    **settings: Any,
) -> None:
    """Score what exists: a run again, or an embedding that anything else has made."""
    from grevy.report import describe_metrics
    from grevy.runs import EvaluationRequest, evaluate_target, keep_to_granted_threads

    keep_to_granted_threads()
    data = settings.pop("data") or [None]
    if len(data) > 1:
        raise GrevyError(f"{len(data)} data files: the embedding of one recording can be scored.")
    request = EvaluationRequest(
        target,
        data=data[0],
        gap=gap,
        window=window,
        causal=causal,
        seed=seed,
        labels=tuple(settings.pop("label") or ()),
        imports=tuple(settings.pop("imports") or ()),
        trust=bool(settings.pop("trust")),
        transpose=bool(settings.pop("transpose")),
        umap=bool(settings.pop("umap")),
        **settings,
    )
    metrics = evaluate_target(request)
    if json_:
        print(json.dumps(metrics, indent=2))
    else:
        _print_metrics(describe_metrics(metrics), context)


@takes_settings(
    app,
    "neural",
    "segments",
    "transpose",
    "max_bytes",
    "imports",
    "bin",
    "units",
    "gaps",
    trust="Allow pickled code in the files to run.",
)
def embed(
    model: Annotated[
        Path, typer.Argument(help="A .pt file of grevy or cebra.", metavar="MODEL.pt")
    ],
    data: Annotated[str, typer.Argument(help="A data file, or the name of a data set.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write (T, D), as .npy.")],
    session: Annotated[int | None, typer.Option(help="Which encoder of several.", min=0)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    **settings: Any,
) -> None:
    """Embed a recording with a trained model."""
    from grevy.runs import embed_file, keep_to_granted_threads, load_what_trains

    keep_to_granted_threads()
    load_what_trains()
    settings["imports"] = settings["imports"] or ()
    for name in ("trust", "transpose"):
        settings[name] = bool(settings[name])
    shape = embed_file(model, data, output, session=session, device=device, **settings)
    print(f"{shown(str(output))}: {shape[0]} time steps x {shape[1]} dimensions")


@takes_settings(app, "imports", trust="Allow pickled code in a .pt file to run.")
def export(
    target: Annotated[
        Path, typer.Argument(help="Folder of a finished run, or a .pt file of grevy or cebra.")
    ],
    nwb: Annotated[
        Path | None,
        typer.Option(help=r"A run's embedding as an NWB file; needs `pip install 'grevy\[nwb]'`."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="A run's embedding as a table.")] = None,
    onnx: Annotated[
        Path | None,
        typer.Option(help="The encoder, as .onnx: (T, N) in, (T - W + 1, D) out."),
    ] = None,
    session: Annotated[int | None, typer.Option(help="Which encoder of several.", min=0)] = None,
    **settings: Any,
) -> None:
    """Write what other programs read: a run's embedding with its times, or an encoder."""
    from grevy.archive import RunFolder, export_csv, export_nwb, read_run
    from grevy.runs import export_onnx

    if nwb is None and csv is None and onnx is None:
        raise GrevyError("nothing to write. Say what: `nwb=FILE`, `csv=FILE` or `onnx=FILE`.")
    for path, write in ((nwb, export_nwb), (csv, export_csv)):
        if path is not None:
            for written in write(read_run(RunFolder(target)), path):
                print(shown(str(written)))
    if onnx is not None:
        trust, imports = bool(settings["trust"]), settings["imports"] or ()
        export_onnx(target, onnx, session=session, trust=trust, imports=imports)
        print(shown(str(onnx)))


app.command(cls=Command)(compare)
app.command(cls=Command)(best)
takes_settings(app, "imports", "trust")(sweeping.sweep)
app.command(cls=Command)(sweeping.status)


def main() -> None:
    """Run the command line."""
    app()
