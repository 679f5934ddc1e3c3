"""One training or several side by side: every step recorded, and the result kept however it ends.

A step of one small encoder leaves most of a GPU idle. Steps of several trainings, each asked for
on a stream of its own, overlap there. A processor's cores are busy with one.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from grevy.engine import DivergedError, Training, compile_network, interruptible, run
from grevy.model.assembly import make_training
from grevy.model.fitted import Fitted, fitted_so_far
from grevy.model.history import cut_history, keep_history, loss_of
from grevy.model.parameters import DTYPES
from grevy.model.progress import training_progress
from grevy.model.states import ModelState
from grevy.model.tasks import Task
from grevy.model.validation import Watch

TakeUp = Callable[[Fitted], object]


def train(tasks: Sequence[Task], take_up: Sequence[TakeUp]) -> None:
    """Train, and keep the results however training ends.

    Parameters
    ----------
    tasks : sequence of Task
        On the same recordings; what they do differs by their seeds alone.
    take_up : sequence of callable
        For each task, what gets the fitted attributes: before each checkpoint, and at the end.

    Raises
    ------
    DivergedError
        If the loss of one is no longer finite.
    KeyboardInterrupt, SystemExit
        After Ctrl-C or SIGTERM, met between two steps.
    """
    courses: list[Course] = []
    for task, take in zip(tasks, take_up, strict=True):
        first = courses[0].training if courses else None
        courses.append(Course(task, _training(task, first), take))
    together = bool(courses) and courses[0].training.encoder.neural[0].is_cuda
    groups = [courses] if together else [[course] for course in courses]
    for group in groups:
        _train_side_by_side(group)


def _train_side_by_side(courses: "Sequence[Course]") -> None:
    """Take a step of each in turn.

    Each goes as it would alone, for what a step draws follows from its own seed and number.
    """
    leader = courses[0].task
    shown = any(course.task.parameters.verbose for course in courses)
    streams = [_own_stream(course.training) if len(courses) > 1 else None for course in courses]
    with (
        interruptible() as interruption,  # while the model is kept, too
        training_progress(leader.n_steps, courses[0].training.chance, shown) as progress,
    ):
        try:
            while going := [pair for pair in zip(courses, streams, strict=True) if pair[0].goes_on]:
                for course, stream in going:
                    with _on(stream):
                        course.take_step()
                progress(going[0][0].done - leader.first, going[0][0].loss)
                for course, _ in going:
                    course.look()
                interruption.raise_if_requested()
        finally:
            for stream in streams:
                if stream is not None:
                    torch.cuda.current_stream(stream.device).wait_stream(stream)
            for course in courses:
                course.end()
        interruption.raise_if_requested()


class Course:
    """A training on its way.

    Parameters
    ----------
    task : Task
    training : Training
    take_up : callable
        Gets the fitted attributes.
    """

    def __init__(self, task: Task, training: Training, take_up: TakeUp) -> None:
        self.task, self.training, self._take_up = task, training, take_up
        self.done = task.first
        self._last = task.first + task.n_steps
        self._watch = Watch(training, task.recordings, task.validation, self._last, task.seen)
        self.goes_on = not self._watch.stalled and task.n_steps > 0
        self._pending: list[Tensor] = []
        self._steps = run(training, task.first, self._last)
        task.state.model.train()

    def take_step(self) -> None:
        """Take the next step; if it diverges, the model is back at the last good one."""
        try:
            step, record = next(self._steps)
        except DivergedError as error:
            self.done = error.step
            raise
        self._pending.append(record)
        self.done = step + 1

    @property
    def loss(self) -> Callable[[], float]:
        """What reads the loss of the step just taken; to read it makes a GPU wait."""
        return partial(loss_of, self._pending[-1])

    def look(self) -> None:
        """Do what is due after a step: callback, validation, checkpoint."""
        task, step = self.task, self.done - 1 - self.task.first
        if task.hook.is_due(step):
            keep_history(task.state.solver, self._pending)
            task.hook.call(step, task.state.solver)
        stalled = self._watch.after(self.done)
        if task.saver is not None and task.saver.is_due(self.done):
            task.saver.save(task.parameters, self.keep())
        self.goes_on = self.done < self._last and not stalled

    def keep(self) -> Fitted:
        """Hand on what the training has come to."""
        task = self.task
        keep_history(task.state.solver, self._pending)
        cut_history(task.state.solver, self.done)
        fitted = fitted_so_far(
            task.state,
            task.recordings,
            task.y,
            receptive_field=(self.training.encoder.left, self.training.encoder.right),
            n_steps=self.done,
            chance=self.training.chance,
            data_checksum=task.saver.data_checksum if task.saver else None,
            validation=[entry for entry in self._watch.losses if entry[0] <= self.done],
        )
        self._take_up(fitted)
        return fitted

    def end(self) -> None:
        """Keep the model, on the disk too if it is kept there."""
        fitted = self.keep()
        if self.task.saver is not None:
            self.task.saver.save_last(self.task.parameters, fitted)
        for parameter in self.task.state.model.parameters():
            parameter.requires_grad_(True)  # adapting had frozen some
        self._steps.close()


def _training(task: Task, first: Training | None) -> Training:
    """Make a training; beside a first one it shares data and sampler with that."""
    if first is None:
        return make_training(task.parameters, task.state, task.recordings)
    return _with_another_model(first, task.state, task.parameters.precision)


def _with_another_model(training: Training, state: ModelState, precision: str) -> Training:
    models = tuple(state.model) if state.several else (state.model,)
    networks = tuple(compile_network(model, DTYPES[precision]) for model in models)
    return replace(
        training,
        encoder=replace(training.encoder, models=models, networks=networks),
        criterion=state.solver.criterion,
        optimizer=state.solver.optimizer,
        seed=state.seed,
    )


def _own_stream(training: Training) -> "torch.cuda.Stream | None":
    """Return a stream that starts after all that was asked for so far; None without a GPU."""
    neural = training.encoder.neural[0]
    if not neural.is_cuda:
        return None
    stream = torch.cuda.Stream(neural.device)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream(neural.device))
    return stream


def _on(stream: "torch.cuda.Stream | None") -> AbstractContextManager[object]:
    return nullcontext() if stream is None else torch.cuda.stream(stream)
