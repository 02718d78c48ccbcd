"""The training loop: dispatch k steps, look at the numbers, save, go on."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from synthdiff.train.checkpoint import Checkpoints, name_run
from synthdiff.train.metrics import append_metrics, drop_after
from synthdiff.train.optim import TrainConfig
from synthdiff.train.processes import any_process, is_first, share_first
from synthdiff.train.state import TrainState

TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


class TrainingDiverged(FloatingPointError):
    """The loss stopped being a number; the message names the step and the columns."""


class Preempted(SystemExit):
    """SIGTERM came and the state is saved; the exit status says that the same command goes on."""

    def __init__(self) -> None:
        super().__init__(TRY_AGAIN)


@contextmanager
def catch_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets instead of ending the process; only the main thread can."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


def check_finite(first_step: int, metrics: dict, part_names: tuple[str, ...]) -> None:
    """Raises TrainingDiverged at the first step of a chunk whose loss or gradient is not finite."""
    bad = ~np.isfinite(metrics.get("loss", 0.0) + metrics["grad_norm"])
    if not bad.any():
        return
    i = int(np.argmax(bad))
    if "loss" not in metrics:  # a private run measures none
        problem = f"Gradient {metrics['grad_norm'][i]} at step {first_step + i}"
        raise TrainingDiverged(f"{problem}. Fix: lower learning_rate.")
    terms = metrics["per_part"][i]
    culprits = [part_names[j] for j in np.flatnonzero(~np.isfinite(terms))]
    if not culprits:
        culprits = [part_names[int(np.argmax(terms))] + " (largest term)"]
    raise TrainingDiverged(
        f"Loss {metrics['loss'][i]} at step {first_step + i}; columns: "
        f"{', '.join(dict.fromkeys(culprits))}. Fix: look at these columns, or lower learning_rate."
    )


def draw_rows(
    rows_of: Callable[[int, int], np.ndarray], first_step: int, config: TrainConfig
) -> np.ndarray:
    """The rows of the chunk from `first_step` on; none where training has ended."""
    count = min(config.steps_per_call, config.num_steps - first_step)
    return rows_of(first_step, count) if count > 0 else np.empty((0, 0), np.int32)


@dataclass(frozen=True)
class Watch:
    """Reads what steps report: stops on what is not a number, shows the rest and logs it.

    log: None where nothing is written. first, started: the step and the time that it begins at.
    """

    bar: tqdm
    log: Path | None
    part_names: tuple[str, ...]
    first: int
    started: float

    def read(self, step: int, metrics: dict) -> None:
        """The metrics of the chunk that begins at `step`; waits until the devices have them."""
        metrics = {name: np.asarray(value) for name, value in metrics.items()}
        check_finite(step, metrics, self.part_names)
        count = len(metrics["grad_norm"])
        rate = (step + count - self.first) / (time.monotonic() - self.started)
        seen = {k: float(metrics[k].mean()) for k in ("loss", "grad_norm") if k in metrics}
        self.bar.update(count)
        self.bar.set_postfix({name: f"{value:.4f}" for name, value in seen.items()})
        if self.log:
            append_metrics(self.log, {"step": step + count, "rate": round(rate, 3)} | seen)


def fit(
    state: TrainState,
    run_steps: Callable[[TrainState, np.ndarray], tuple[TrainState, dict]],
    rows_of: Callable[[int, int], np.ndarray],
    config: TrainConfig,
    part_names: tuple[str, ...],
    *,
    folder: Path | None = None,
    progress: bool = True,
) -> TrainState:
    """Trains to `config.num_steps`, from the newest checkpoint in `folder` if there is one.

    run_steps(state, rows [k, batch]) advances k steps; rows_of(first_step, k) gives their rows.
    While the devices are at work on a chunk, the host draws the rows of the next and reads what the
    one before reported. Chunks start at multiples of steps_per_call, so a resumed run repeats the
    same programs and ends bit-equal. Without a folder nothing is written; of several processes only
    the first reads and writes it. With a folder, SIGTERM in any process saves the state after the
    present chunk and raises Preempted in all.
    """
    checkpoints, log = None, None
    if folder and is_first():
        checkpoints = Checkpoints(folder / "checkpoints", run=name_run(folder))
        log = folder / "metrics.jsonl"
        state = checkpoints.restore_latest(state) or state
        drop_after(log, int(state.step))
    state = share_first(state)
    step = int(state.step)
    bar = tqdm(
        total=config.num_steps,
        initial=step,
        unit="step",
        disable=not (progress and is_first()),
        mininterval=0.5 if sys.stderr.isatty() else 15.0,
    )
    watch = Watch(bar, log, part_names, step, time.monotonic())
    saving = closing(checkpoints) if checkpoints else nullcontext()
    with bar, saving, catch_sigterm() if folder else nullcontext(threading.Event()) as told:
        rows, unread = draw_rows(rows_of, step, config), None
        while step < config.num_steps:
            count = len(rows)
            state, metrics = run_steps(state, rows)
            rows = draw_rows(rows_of, step + count, config)
            if unread:
                watch.read(*unread)
            unread, step = (step, metrics), step + count
            stop = any_process(told.is_set())
            if stop or step == config.num_steps or step % config.checkpoint_every < count:
                watch.read(*unread)  # before the state is saved, or given to the next chunk
                unread = None
                if checkpoints:
                    checkpoints.save(state)
            if stop and step < config.num_steps:
                raise Preempted
    return state
