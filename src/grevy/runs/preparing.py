"""From settings to what a run needs: recordings, and a model."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from grevy.config import RunConfig
from grevy.data import Recording, import_module, load, read_recording
from grevy.errors import GrevyError

if TYPE_CHECKING:
    from grevy.model import CEBRA


def load_recordings(config: RunConfig, notify: Callable[[str], None]) -> tuple[Recording, ...]:
    """Load what the configuration names: user's modules first, then a data set or a file."""
    for module in config.imports:
        import_module(module)
    if config.dataset is not None:
        return load(config.dataset, offline=config.offline, notify=notify)
    if config.data is None:
        raise GrevyError("neither a data set nor a file was given.")
    recording = read_recording(
        config.data,
        neural=config.neural,
        labels=config.label,
        period=config.period,
        segments=config.segments,
        sampling_rate=config.sampling_rate,
        trust=config.trust,
        notify=notify,
    )
    return (recording,)


def make_model(config: RunConfig, verbose: bool) -> "CEBRA":
    """Make the estimator that the configuration describes, and check its parameters."""
    from grevy.engine import resolve_device
    from grevy.model import CEBRA

    model = CEBRA(
        model_architecture=config.model_architecture,
        device=resolve_device(config.device),
        distance=config.distance,
        conditional=config.conditional,
        temperature=config.temperature,
        temperature_mode=config.temperature_mode,
        min_temperature=config.min_temperature,
        time_offsets=config.time_offsets[0]
        if len(config.time_offsets) == 1
        else config.time_offsets,
        delta=config.delta,
        max_iterations=config.max_iterations,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        output_dimension=config.output_dimension,
        verbose=verbose,
        num_hidden_units=config.num_hidden_units,
        hybrid=config.hybrid,
        seed=config.seed,
        prior=config.prior,
        num_negatives=config.num_negatives,
        precision=config.precision,
    )
    _ = model.parameters  # every mistake in them is said before anything is loaded
    return model
