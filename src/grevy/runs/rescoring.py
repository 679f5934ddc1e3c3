"""Scores for what exists already: a finished run, or an embedding that anything else has made."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from grevy.archive import ArchivedRun, RunFolder, read_run, recording_names
from grevy.config import RunConfig, known_settings, make_config, refuse_imports
from grevy.data import (
    Array,
    IntArray,
    Recording,
    Split,
    end_to_end,
    hold_out,
    import_module,
    join_recordings,
    laid_out,
    require_file,
    steps_inside,
)
from grevy.errors import GrevyError
from grevy.evaluation import Together, evaluate, evaluate_across, require_umap
from grevy.runs.finished import made_from
from grevy.runs.holding_out import training_gap
from grevy.runs.preparing import (
    load_recordings,
    make_model,
    prepare_recordings,
    smoothing_reach,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score, and how.

    Attributes
    ----------
    target : Path
        The folder of a finished run, or an embedding (T, D) as ``.npy``.
    data : str or None
        File, or name of a data set, that an ``.npy`` file belongs to.
    neural, segments : str or None
        Keys in that file.
    labels : tuple of str
        Keys in that file, with their kind.
    period : float or None
        One turn of circular labels in their own unit; 2 pi if None.
    trust : bool
        Whether pickled code in it, and modules that a run names, may run.
    holdout : float or None
        Fraction of time held out; that of the run, or 0.2, if None.
    split : {"blocks", "segments"} or None
        What is held out; as in the run, or blocks, if None.
    gap : int
        Steps between training and test, for an ``.npy`` file.
    window : int
        Time steps that the encoder of an ``.npy`` file saw, around each; baselines see the same.
    causal : bool
        Whether those end with the step itself, in place of lying around it.
    nulls : int or None
        How often labels are moved; as in the run, or 1000, if None.
    umap : bool
        Whether UMAP is a baseline too; it is as well where the run had it.
    seed : int
        Decides nulls and intervals and, for an ``.npy`` file, which segments are held out.
    label_data, transpose, max_bytes, bin, units, gaps
        As for `grevy.read_recording`.
    imports : tuple of str
        Modules or files that register data sets. Those of a run are among them, or `trust` is
        given.
    """

    target: Path
    data: str | None = None
    neural: str | None = None
    labels: tuple[str, ...] = ()
    segments: str | None = None
    trust: bool = False
    holdout: float | None = None
    split: str | None = None
    gap: int = 0
    window: int = 1
    causal: bool = False
    nulls: int | None = None
    umap: bool = False
    seed: int = 0
    period: float | None = None
    label_data: str | None = None
    transpose: bool = False
    max_bytes: int | None = None
    bin: float | None = None
    units: str | None = None
    gaps: str | None = None
    imports: tuple[str, ...] = ()


def evaluate_target(request: EvaluationRequest) -> dict[str, Any]:
    """Score a finished run or an embedding; nothing is written.

    Returns
    -------
    dict
        As in ``logs/metrics.json``. Of an embedding from a file ``encoder`` is "unknown", and
        ``note`` says on what its scores depend.

    Raises
    ------
    GrevyError
        If target, data and settings are unusable or do not fit together.
    """
    if request.holdout is not None and not 0 < request.holdout < 1:
        raise GrevyError(f"`holdout={request.holdout:g}`: give a fraction between 0 and 1.")
    if request.umap:
        require_umap()
    if request.target.is_dir():
        return _evaluate_run(request)
    return _evaluate_embedding(request)


def _evaluate_run(request: EvaluationRequest) -> dict[str, Any]:
    """Score an archived embedding by its archived labels, beside the data if that is still here."""
    given = (
        request.data, request.neural, request.labels, request.period, request.segments,
        request.label_data, request.transpose, request.bin, request.units, request.gaps,
        request.gap, request.window > 1, request.causal,
    )  # fmt: skip
    if any(given):
        raise GrevyError(
            f"{request.target} is a run, which knows its data and labels. Leave `data`, `neural`, "
            f"`labels`, `period`, `segments`, `label_data`, `transpose`, `bin`, `units`, "
            f"`gaps`, `gap`, `window` and `causal` out."
        )
    from grevy.model import model_receptive_field

    run = read_run(RunFolder(request.target))
    if not request.trust:
        refuse_imports(f"the run {request.target}", run.config, request.imports)
    asked = {
        "holdout": request.holdout, "split": request.split, "nulls": request.nulls,
        "max_bytes": request.max_bytes,
    }  # fmt: skip
    chosen = {name: value for name, value in asked.items() if value is not None}
    # Nothing is trained here; nulls that were trained for are kept.
    kept = {**known_settings(run.config), "trust": request.trust, "null_retrain": False}
    own, settings = make_config(kept), make_config({**kept, **chosen})
    for name in ("holdout", "split"):
        if getattr(settings, name) != getattr(own, name):
            raise GrevyError(
                f"`{name}={chosen[name]}`: the encoder of this run was trained with "
                f"{getattr(own, name)}; other steps would test on what it has seen. "
                f"Leave it out, or make another run."
            )
    for module in (*request.imports, *settings.imports):  # the model may be one that they register
        import_module(module)
    model = make_model(settings.model_copy(update={"device": "cpu"}), verbose=False)
    loaded = _still_here(run, settings)
    whole = _archived_recording(run, loaded)
    gap = training_gap(model, smoothing_reach(settings, [whole]))
    split = None
    if settings.holdout:
        each = _segments_of_each(run)
        seed = settings.seed or 0
        split = hold_out(each, settings.split, settings.holdout, gap, seed)
    neural = None
    if loaded is not None:
        neural = prepare_recordings([loaded], split, settings)[0].neural
    trained = _trained_nulls(run) if settings.n_nulls else {}
    if trained and request.nulls not in (None, *(null["n"] for null in trained.values())):
        _LOG.warning(
            f"`nulls={request.nulls}` changes nothing: p is by encoders that the run trained for "
            f"it, and is kept as it is. Make another run for other nulls."
        )
    found = evaluate(
        run.embedding, whole, split, neural,
        window=model_receptive_field(model.parameters),
        nulls=0 if trained else settings.n_nulls, seed=request.seed, gap=gap,
        metric=settings.distance, umap=_has_umap(settings.umap or request.umap),
    )  # fmt: skip
    if len(run.manifest["data"]) > 1 and split is not None and whole.labels:
        found.metrics.update(
            _across(run, whole, split, settings, request.seed, training_gap(model))
        )
    notes = [found.metrics.get("note", "")]
    for name, scores in found.metrics["scores"].items() if trained else ():
        own = run.metrics["scores"][name]
        scores |= {key: own[key] for key in ("null", "no_p") if key in own}
        notes += [f"No p for {name!r}: {own['no_p']}"] if "no_p" in own else []
    if any(notes):
        found.metrics["note"] = " ".join(filter(None, notes))
    return {**{name: run.metrics[name] for name in _KEPT if name in run.metrics}, **found.metrics}


def _across(
    run: ArchivedRun, whole: Recording, split: Split, settings: RunConfig, seed: int, gap: int
) -> dict[str, Any]:
    """Score each of several recordings again; what other encoders were trained for is kept."""
    edges = end_to_end(each["time_steps"] for each in run.manifest["data"])
    found = evaluate_across(
        run.embedding, Together(whole, recording_names(run.manifest), edges), split,
        nulls=settings.n_nulls, seed=seed, gap=gap, metric=settings.distance,
    )  # fmt: skip
    for own, kept in zip(found["recordings"], run.metrics.get("recordings", []), strict=False):
        for name, scores in own["scores"].items() if settings.n_nulls else ():
            before = kept["scores"].get(name, {})
            if (before.get("null") or {}).get("method") == "folds" or run.metrics.get("folds"):
                del scores["null" if "null" in scores else "no_p"]
                scores |= {key: before[key] for key in ("null", "no_p") if key in before}
    return found


def _still_here(run: ArchivedRun, settings: RunConfig) -> Recording | None:
    """Load what a run was made from; None, and a warning, where it is gone or was changed.

    None for several recordings too, which have no baselines.
    """
    try:
        recordings = load_recordings(settings)
    except GrevyError as error:
        _LOG.warning(f"no baselines: the data of the run cannot be loaded ({error})")
        return None
    if not made_from(run, recordings):
        _LOG.warning("no baselines: the data have changed since the run was made")
        return None
    return recordings[0] if len(recordings) == 1 else None


# What takes other trainings, or the model, is the run's own.
_KEPT = (
    "chance_nats", "goodness_of_fit_bits", "goodness_of_fit_heldout_bits",
    "goodness_of_fit_heldout_error", "validation", "folds", "consistency",
    "neurons_left_out",
)  # fmt: skip


def _trained_nulls(run: ArchivedRun) -> dict[str, Any]:
    """Return the nulls for which a run has trained, by the name of the label."""
    names = {label.name for label in run.labels}
    nulls = {name: each.get("null", {}) for name, each in run.metrics.get("scores", {}).items()}
    return {
        name: null
        for name, null in nulls.items()
        if name in names and null.get("method") in ("folds", "retrained")
    }


def _has_umap(asked: bool) -> bool:
    """Tell whether UMAP can be a baseline; a run that had it may come from another machine."""
    try:
        if asked:
            require_umap()
    except GrevyError as error:
        _LOG.warning(f"no baseline of UMAP: {error}")
        return False
    return asked


def _segments_of_each(run: ArchivedRun) -> list[IntArray]:
    """Part the segments of a run by its recordings, which lie end to end."""
    lengths = [each["time_steps"] for each in run.manifest["data"]]
    owner = np.searchsorted(end_to_end(lengths)[1:-1], run.segments[:, 0], side="right")
    return [run.segments[owner == number] for number in range(max(len(lengths), 1))]


def _archived_recording(run: ArchivedRun, loaded: Recording | None) -> Recording:
    return Recording(
        neural=np.zeros((len(run.embedding), 0), np.float32),
        labels=run.labels,
        segments=run.segments,
        sampling_rate=run.sampling_rate,
        source=str(run.folder.root),
        latent=None if loaded is None else loaded.latent,
    )


def _evaluate_embedding(request: EvaluationRequest) -> dict[str, Any]:
    _check_file(request.target)
    embedding = _read_embedding(request.target)
    if request.data is None:
        raise GrevyError(
            f"{request.target} is an embedding: say with `data` which file or data set its labels "
            f"are in, and with `labels` which they are."
        )
    is_file = Path(request.data).is_file() or bool(Path(request.data).suffix)
    settings: dict[str, Any] = {"data" if is_file else "dataset": request.data}
    given = {
        "neural": request.neural, "label": request.labels or None, "period": request.period,
        "segments": request.segments, "imports": request.imports or None, "split": request.split,
        "label_data": request.label_data, "transpose": request.transpose or None,
        "max_bytes": request.max_bytes, "nulls": request.nulls, "bin": request.bin,
        "units": request.units, "gaps": request.gaps,
    }  # fmt: skip
    settings |= {name: value for name, value in given.items() if value is not None}
    config = make_config({**settings, "trust": request.trust})
    recordings = load_recordings(config)
    whole = join_recordings(recordings)
    if len(whole) != len(embedding):
        raise GrevyError(
            f"the embedding has {len(embedding)} time steps, {request.data} has {len(whole)}. Give "
            f"the data that it was made from."
        )
    if not whole.labels:
        raise GrevyError(
            f"no label of {request.data} was named, so there is nothing to decode. Name one with "
            f"`labels=KEY`."
            if config.data
            else f"the data set {request.data} has no label, so there is nothing to decode. Give "
            f"a data file, and name a label with `labels=KEY`."
        )
    holdout = 0.2 if request.holdout is None else request.holdout
    if request.window > len(embedding):
        raise GrevyError(
            f"`window={request.window}`, in a recording of {len(embedding)} time steps. Give the "
            f"receptive field of the encoder."
        )
    # A window on either side of the border holds no step of the other.
    gap = max(request.gap, request.window if request.window > 1 else 0)
    split = hold_out(laid_out(recordings), config.split, holdout, gap, request.seed)
    neural = recordings[0].neural if len(recordings) == 1 else None
    # As encoders lay theirs: around the present step, or up to it.
    before = request.window - 1 if request.causal else request.window // 2
    found = evaluate(
        embedding, whole, split, neural,
        window=(before, request.window - before), nulls=config.n_nulls, seed=request.seed,
        gap=gap, umap=request.umap,
    )  # fmt: skip
    notes = [_of_unknown_encoder(split, whole.segments), found.metrics.get("note", "")]
    return {**found.metrics, "encoder": "unknown", "note": " ".join(filter(None, notes))}


def _of_unknown_encoder(split: Split, segments: IntArray) -> str:
    """Say on what the scores of an embedding from a file depend, and how much was tested."""
    if split.by_segment:
        count, parts = int(np.isin(segments[:, 0], split.test).sum()), "segment"
    else:
        places = np.searchsorted(steps_inside(segments), split.test)
        count, parts = 1 + int((np.diff(places) > 1).sum()), "block"
    return (
        f"how the encoder of an embedding from a file was trained is not known: the scores are "
        f"held out only if it never saw the {len(split.test)} steps tested, in {count} "
        f"{parts}{'s' * (count != 1)}, or their labels took no part in its training."
    )


def _check_file(path: Path) -> None:
    """Refuse what is no file, and a model in the place of what it makes."""
    require_file(path)
    if not path.exists():
        raise GrevyError(
            f"{path} does not exist. Give the folder of a finished run, or an array (T, D) as .npy."
        )
    if path.suffix == ".pt":
        raise GrevyError(
            f"{path} is a model, not an embedding. Make one with `grevy embed {path} DATA -o "
            f"embedding.npy` first, and give that."
        )


def _read_embedding(path: Path) -> Array:
    try:
        embedding = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise GrevyError(
            f"{path} cannot be read as an embedding ({error}). Give the folder of a finished run, "
            f"or an array (T, D) as .npy."
        ) from error
    if not isinstance(embedding, np.ndarray):
        raise GrevyError(f"{path} holds several arrays. Give one array (T, D) as .npy.")
    return embedding
