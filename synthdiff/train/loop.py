"""The training loop: dispatch k steps, look at the numbers, save, go on."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
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

    run_steps(state, rows [k, batch]) advances k steps; rows_of(first_step, k) gives their rows,
    which the host draws for the next chunk while the devices are at work on the present one.
    Chunks start at multiples of steps_per_call, so a resumed run repeats the same programs and
    ends bit-equal. Without a folder nothing is written; of several processes only the first reads
    and writes it. With a folder, SIGTERM in any process saves the state after the present chunk and
    raises Preempted in all.
    """
    checkpoints = None
    if folder and is_first():
        checkpoints = Checkpoints(folder / "checkpoints", run=name_run(folder))
        log = folder / "metrics.jsonl"
        state = checkpoints.restore_latest(state) or state
        drop_after(log, int(state.step))
    state = share_first(state)
    step, started, first = int(state.step), time.monotonic(), int(state.step)
    bar = tqdm(
        total=config.num_steps,
        initial=step,
        unit="step",
        disable=not (progress and is_first()),
        mininterval=0.5 if sys.stderr.isatty() else 15.0,
    )
    saving = closing(checkpoints) if checkpoints else nullcontext()
    with bar, saving, catch_sigterm() if folder else nullcontext(threading.Event()) as told:
        rows = draw_rows(rows_of, step, config)
        while step < config.num_steps:
            count = len(rows)
            state, metrics = run_steps(state, rows)
            rows = draw_rows(rows_of, step + count, config)
            metrics = {name: np.asarray(value) for name, value in metrics.items()}
            check_finite(step, metrics, part_names)
            step += count
            rate = (step - first) / (time.monotonic() - started)
            seen = {k: float(metrics[k].mean()) for k in ("loss", "grad_norm") if k in metrics}
            bar.update(count)
            bar.set_postfix({name: f"{value:.4f}" for name, value in seen.items()})
            stop = any_process(told.is_set())
            if checkpoints:
                append_metrics(log, {"step": step, "rate": round(rate, 3)} | seen)
                due = step % config.checkpoint_every < count
                if due or stop or step == config.num_steps:
                    checkpoints.save(state)
            if stop and step < config.num_steps:
                raise Preempted
    return state
