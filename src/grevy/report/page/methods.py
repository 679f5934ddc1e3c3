"""Words to paste: what was done, whom to cite, and the command that does it again."""

import shlex
from typing import Any

from grevy.archive import ArchivedRun, without_home
from grevy.config import RunConfig
from grevy.report.recordings import adapted_words, seen_words
from grevy.report.results import LabelResult, Null
from grevy.report.words import listed, number, plural, short, thousands
from grevy.version import __version__

CEBRA_BIBTEX = """\
@article{schneider2023learnable,
  title   = {Learnable latent embeddings for joint behavioural and neural analysis},
  author  = {Schneider, Steffen and Lee, Jin Hwa and Mathis, Mackenzie Weygandt},
  journal = {Nature},
  volume  = {617},
  pages   = {360--368},
  year    = {2023},
  doi     = {10.1038/s41586-023-06031-6}
}"""

GREVY_BIBTEX = """\
@software{grevy,
  title   = {Grevy: embeddings of neural recordings that can be believed},
  author  = {{The Grevy developers}},
  version = {%s},
  license = {Apache-2.0}
}"""


def bibtex(grevy_version: str = __version__) -> str:
    """Return the entries to cite: the method, and this program."""
    return f"{CEBRA_BIBTEX}\n\n{GREVY_BIBTEX % grevy_version}"


def command(config: dict[str, Any]) -> str:
    """Return the command line that repeats a run; empty if its settings are not a command's.

    Every setting that differs from its default is named. A run of arrays handed to a function has
    no command.
    """
    fields = RunConfig.model_fields
    if not set(config) <= set(fields) or config.get("dataset") == "arrays":
        return ""
    if config.get("sessions") or config.get("min_temperature", 0.1) is None:  # in no flag
        return "grevy run --config config.yaml --output-dir results/again"
    words = ["grevy", "run"]
    for name, value in config.items():
        if name != "output_dir" and _as_list(value) != _as_list(fields[name].default):
            words += _flag(name, value)
    words += ["--output-dir", "results/again"]
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """Quote a word for the shell, which puts the home folder back for a `~` outside quotes."""
    word = without_home(word)
    if word.startswith("~/") and word != "~/":
        return "~/" + shlex.quote(word[2:])
    return shlex.quote(word)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value


def _flag(name: str, value: Any) -> list[str]:
    flag = "--" + {"imports": "import"}.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return [flag if value else flag.replace("--", "--no-", 1)]
    if value is None:  # only the batch size: the whole data
        return [flag, "0"]
    each = [str(one) for one in value] if isinstance(value, tuple | list) else [str(value)]
    # With "=", a value that begins with a dash is still a value.
    words = [[f"{flag}={one}"] if one.startswith("-") else [flag, one] for one in each]
    return [word for pair in words for word in pair]


def methods(run: ArchivedRun, results: list[LabelResult]) -> str:
    """Write the paragraph for a paper: data, training, hold-out, decoding, nulls."""
    parts = [
        _data(run),
        _preparing(run),
        _training(run),
        adapted_words(run.config),
        _hold_out(run),
        _decoding(results),
        _baselines(run, results),
    ]
    parts += [_folds(results), _nulls(results), _recordings(run)]
    return " ".join(part for part in parts if part)


def _data(run: ArchivedRun) -> str:
    data = run.manifest.get("data", [])
    neurons = [int(each["neurons"]) for each in data]
    steps = sum(int(each["time_steps"]) for each in data)
    if not data:
        return ""
    what = f"{plural(neurons[0], 'neuron')}"
    if len(neurons) > 1:
        what = f"{plural(len(neurons), 'recording')} of {min(neurons)} to {max(neurons)} neurons"
    rate = f" sampled at {number(run.sampling_rate)} Hz" if run.sampling_rate else ""
    return (
        f"The activity of {what} over {plural(steps, 'time step')}{rate} was embedded in "
        f"{plural(run.embedding.shape[1], 'dimension')} with CEBRA (Schneider et al., 2023), an "
        f"encoder trained by contrastive learning, using {_software(run)}."
    )


def _preparing(run: ArchivedRun) -> str:
    """Say what was done to the data before the training."""
    config = run.config
    later = str(config.get("lag") or "0")
    kernel = "causal " if config.get("smoothing_kernel") == "causal" or config.get("causal") else ""
    rate = config.get("min_rate") or 0
    said = {
        "gaps": "time steps with missing values were left out",
        "lag": f"each step was paired with the labels of {_time(later.lstrip('-'))} "
        f"{'earlier' if later.startswith('-') else 'later'}",
        "rates": "counts were turned into spikes per second",
        "min_rate": f"{plural(_left_out(run), 'neuron')} with fewer than {rate:g} spikes per "
        f"second were left out",
        "square_root": "square roots of the activity were taken",
        "smoothing": f"the activity was smoothed within segments by a {kernel}Gaussian with a "
        f"standard deviation of {_time(str(config.get('smoothing')))}",
        "zscore": "each neuron was z-scored",
        "scale_labels": "continuous labels were z-scored for the training",
    }
    done = [words for name, words in said.items() if config.get(name)]
    fitted = any(config.get(name) for name in ("min_rate", "zscore", "scale_labels"))
    if not done:
        return ""
    return (
        f"Before that, {listed(done)}"
        + ("; all numbers for this were estimated on training steps alone" * fitted)
        + "."
    )


def _time(duration: str) -> str:
    """Write a length of time, as settings have it, in words."""
    if duration.endswith("s"):
        return f"{short(duration[:-1], 20)} s"
    return f"{short(duration, 20)} {'time step' if duration == '1' else 'time steps'}"


def _left_out(run: ArchivedRun) -> int:
    return sum(map(len, run.metrics.get("neurons_left_out", [])))


def _software(run: ArchivedRun) -> str:
    versions = run.manifest.get("versions", {})
    shown = {"grevy": "Grevy", "cebra": "cebra", "torch": "PyTorch"}
    return listed([f"{name} {versions[key]}" for key, name in shown.items() if key in versions])


def _training(run: ArchivedRun) -> str:
    config = run.config
    steps = run.history["loss"].size if "loss" in run.history else config.get("max_iterations", 0)
    batch = config.get("batch_size")
    size = f"batches of {thousands(batch)} references" if batch else "the whole data in every step"
    return (
        f"The encoder ({short(str(config.get('model_architecture', 'unknown')), 60)}, "
        f"{config.get('num_hidden_units', 32)} hidden units, {config.get('distance', 'cosine')} "
        f"similarity, temperature {config.get('temperature', 1):g}"
        f"{' at first, then learnt' if config.get('temperature_mode') == 'auto' else ''}) was "
        f"trained for {plural(int(steps), 'step')} with Adam (learning rate "
        f"{config.get('learning_rate', 3e-4):g}) on {size}. {_positives(run)}"
        + (f" The seed was {config['seed']}." if config.get("seed") is not None else "")
    )


def _positives(run: ArchivedRun) -> str:
    config = run.config
    given = _as_list(config.get("time_offsets") or [10])  # one number, if a script says so
    offsets = listed([str(each) for each in (given if isinstance(given, list) else [given])])
    names = listed([short(label.name, 40) for label in run.labels]) or "no label"
    how = {
        "time": f"were the samples {offsets} steps later",
        "time_delta": f"were the samples whose {names} came nearest to the reference's plus a "
        f"change drawn from the data over {offsets} steps",
        "delta_normal": f"were the samples whose {names} came nearest to the reference's plus a "
        f"normal deviate of standard deviation {config.get('delta')}",
        "delta": f"were drawn by {names} with delta {config.get('delta')}",
    }.get(str(config.get("conditional")), f"were samples of the same {names}")
    hybrid = "; a second loss took positives in time alone" if config.get("hybrid") else ""
    return f"Positive samples {how}{hybrid}."


def _hold_out(run: ArchivedRun) -> str:
    held = run.metrics.get("holdout")
    if not isinstance(held, dict):
        return "No time was held out from the training."
    steps = plural(int(held.get("test_steps", 0)), "time step")
    if held.get("split") == "segments":
        whole = plural(int(held.get("test_segments", 0)), "whole segment")
        return (
            f"Held out from the encoder, the scaling and the decoders were {whole}, drawn at "
            f"random: {steps}, beside {thousands(int(held.get('train_steps', 0)))} training steps."
        )
    reach = ", beyond the reach of the smoothing" * bool(run.config.get("smoothing"))
    return (
        f"Held out from the encoder, the scaling and the decoders were {steps} in contiguous "
        f"stretches, kept apart from the {thousands(int(held.get('train_steps', 0)))} training "
        f"steps by at least the encoder's receptive field and the longest time offset{reach}."
    )


def _decoding(results: list[LabelResult]) -> str:
    said = []
    for result in results:
        own = result.tables.get("blocked", {}).get("embedding", {})
        if result.held_out:
            by = f"; {own['decoder']}" if isinstance(own.get("decoder"), str) else ""
            said.append(f"{short(result.name, 40)} ({result.kind}{by})")
    if not said:
        return ""
    text = (
        f"Decoded were {listed(said)}; decoders were fitted on training steps and scored on "
        f"held-out steps."
    )
    if any(each.score.interval for result in results for each in result.held_out.values()):
        text += " Intervals are 95 % intervals of a block bootstrap over held-out time."
    return text


def _folds(results: list[LabelResult]) -> str:
    counts = [len(result.folds.values) for result in results if result.folds is not None]
    if not counts:
        return ""
    what = "whole segments" if results[0].where == "held-out segments" else "contiguous stretches"
    return (
        f"In a {counts[0]}-fold evaluation of {what}, encoder and decoder were trained anew "
        f"without each fold and scored on it."
    )


def _baselines(run: ArchivedRun, results: list[LabelResult]) -> str:
    """Say what the embedding was compared with, and how."""
    held_out = {name: each for result in results for name, each in result.held_out.items()}
    names = {
        "pca": "principal components with as many dimensions as the embedding",
        "raw": "raw activity",
        "umap": "UMAP with as many dimensions (McInnes et al., 2018)",
    }
    what = [words for name, words in names.items() if name in held_out]
    if not what:
        return ""
    text = f"Baselines were decoded in the same way from {listed(what)}, fitted on training steps; "
    steps = results[0].window_steps
    if steps is not None and steps > 1:
        text += (
            f"they saw the {plural(steps, 'time step')} of the encoder's receptive field, summed "
            f"or side by side (lagged), whichever did better inside the training."
            + _reduction(run, results[0], steps)
        )
    else:
        text += "they saw one time step" + (", as the encoder did." if steps else ".")
    if any(each.gain and each.gain.interval for each in held_out.values()):
        text += (
            " Differences between embedding and baselines are paired, with 95 % intervals of a "
            "block bootstrap that draws the same held-out steps for both."
        )
    return text


def _reduction(run: ArchivedRun, result: LabelResult, steps: int) -> str:
    """Say where the neurons are too many to lay their steps side by side, and are reduced."""
    raw = (result.tables.get("blocked") or {}).get("raw", {})
    columns = (raw.get("by_window") or {}).get("lagged", {}).get("columns")
    neurons = [int(each["neurons"]) for each in run.manifest.get("data", [])]
    neurons = [each - _left_out(run) for each in neurons]  # used of one recording alone
    if not isinstance(columns, int) or len(neurons) != 1 or columns >= neurons[0] * steps:
        return ""
    return f" Lagged were the {plural(columns // steps, 'leading component')} of the neurons."


def _nulls(results: list[LabelResult]) -> str:
    """Say how p was computed, for which labels none was, and how many were adjusted for."""
    nulls = {result.name: result.null for result in results if result.null is not None}
    without = [short(result.name, 40) for result in results if result.is_without_p]
    parts = []
    for method in dict.fromkeys(null.method for null in nulls.values()):
        chosen = {name: null for name, null in nulls.items() if null.method == method}
        named = "" if len(chosen) == len(nulls) else f" ({listed([short(n, 40) for n in chosen])})"
        parts.append(_by_method(list(chosen.values()), named))
    if nulls:
        parts.append("p = (1 + number of nulls that did at least as well) / (1 + number of nulls).")
    adjusted = next((each for each in nulls.values() if each.p_adjusted is not None), None)
    if adjusted is not None:
        labels = plural(adjusted.n_labels, "label")
        parts.append(f"The p of {labels} were adjusted by Holm's method (1979).")
    if without:
        parts.append(f"No p could be given for {listed(without)}.")
    return " ".join(parts)


def _recordings(run: ArchivedRun) -> str:
    """Say how each of several recordings was decoded by what the others have taught."""
    each = run.metrics.get("recordings") or []
    if len(each) < 2:
        return ""
    nulls = [
        scores["null"] for one in each for scores in one["scores"].values() if scores.get("null")
    ]
    text = seen_words(run.config)
    if nulls:
        text += (
            f" The labels of each recording were moved {plural(int(nulls[0]['n']), 'time')} "
            f"against what the decoder of the others said, encoders and decoders kept; the p of "
            f"{plural(len(nulls), 'test')} were adjusted by Holm's method."
        )
    agreement = run.metrics.get("agreement") or {}
    if any("mean" in found for found in agreement.values()):
        text += (
            " Agreement of two recordings is the R² of a linear map between their mean embeddings "
            "at each value of the label, on held-out steps; its chance is the same with the label "
            "of one of them moved in time."
        )
    return text


def _by_method(nulls: list[Null], named: str) -> str:
    how = listed(sorted({null.how for null in nulls}))
    count = f"{plural(len(nulls[0].values), 'time')}"
    moved = f"were moved in time ({how}) {count}"
    if nulls[0].method == "folds":
        folds = "" if nulls[0].n_folds is None else f"{nulls[0].n_folds} "
        return (
            f"Nulls{named}: {folds}encoders, each trained without one fold of the recording, "
            f"were followed by decoders of that fold; the labels of the whole recording {moved} "
            f"against what was decoded."
        )
    if nulls[0].method == "retrained":
        return f"Nulls{named}: labels {moved}, and the encoder trained anew on each."
    if nulls[0].method == "held-out":
        near = ", without those within one memory of the label from the training"
        near = near if nulls[0].is_shifted else ""
        return (
            f"Nulls{named}: with encoder and decoder kept, labels {moved} against what was decoded "
            f"on held-out steps{near}."
        )
    return f"Nulls{named}: labels {moved}."
