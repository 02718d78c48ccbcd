"""What takes turns beside peers: our compiled sampler and the peers' denoisers, as plain calls."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax
import numpy as np
from _cases import build_model, make_sampling
from _timing import take_turns
from _torch_arms import choose_device

from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.diffusion.samplers import SamplerConfig
from synthdiff.models.config import count_params
from synthdiff.sampling import choose_block

RESULTS = Path(__file__).parent / "results"
# Of tables drawn with so many evaluations per record.
ADULT = {32: "adult.json", 8: "adult_nfe8.json"}
ERRORS = ("shape_error", "trend_error")


class Arm(NamedTuple):
    """records: how many a call makes; where it is part of their evaluations, that part of them."""

    about: dict
    errors: dict
    records: float
    call: Callable[[], object]


def read_errors(nfe: int) -> dict[str, float | None]:
    """Ours on Adult, as measured; unknown where there are no records, as in a wheel."""
    path = RESULTS / ADULT[nfe]
    if not path.exists():
        return dict.fromkeys(ERRORS)
    scores = json.loads(path.read_text())["methods"]["unet"]["scores"]
    return {name: scores[name]["mean"] for name in ERRORS}


def make_ours(codec: Codec) -> list[Arm]:
    """The compiled sampler at the default config, with fresh weights, by evaluations per record."""
    model = build_model(codec, Config())
    block = choose_block(codec.layout)

    def make_arm(nfe: int) -> Arm:
        fn, args = make_sampling(model, SamplerConfig(num_steps=nfe), block)
        sample = jax.jit(fn).lower(*args).compile()
        about = {"network": f"ours, NFE {nfe}", "parameters": count_params(model.params)}
        about |= {"evaluations": nfe, "batch": block}
        return Arm(about, read_errors(nfe), block, lambda: jax.block_until_ready(sample(*args)))

    return [make_arm(nfe) for nfe in ADULT]


def make_peers(
    torch: ModuleType, numbers: int, cardinalities: Sequence[int], batch: int, evaluations: int
) -> list[Arm]:
    """The peers' denoisers; a call is some evaluations on one batch."""
    from _peer_networks import PEERS, Peer  # here, as it needs PyTorch

    device = choose_device(torch)

    def make_arm(peer: Peer) -> Arm:
        network = peer.make(numbers, cardinalities).eval().to(device)
        inputs = [x.to(device) for x in network.draw_inputs(batch)]
        about = {"network": peer.name, "parameters": sum(p.numel() for p in network.parameters())}
        about |= {"evaluations": peer.evaluations, "batch": batch}

        def call() -> None:
            with torch.inference_mode():
                for _ in range(evaluations):
                    network(*inputs)
            if device == "cuda":
                torch.cuda.synchronize()

        errors = {name: getattr(peer, name) for name in ERRORS}
        return Arm(about, errors, batch * evaluations / peer.evaluations, call)

    return [make_arm(peer) for peer in PEERS]


def keep_to_one_core() -> None:
    """Every thread of this process, and those it will start; Linux alone can."""
    for task in Path("/proc/self/task").glob("*"):
        os.sched_setaffinity(int(task.name), {min(os.sched_getaffinity(0))})


def time_call(arm: Arm, device: str) -> float:
    """Seconds of a call: of the processor, or of the clock where the work is a GPU's."""
    wall, started = time.perf_counter(), time.process_time()
    arm.call()
    seconds, wall = time.process_time() - started, time.perf_counter() - wall
    if device != "cpu":
        return wall
    if seconds > 1.1 * wall + 0.05:
        raise RuntimeError(f"{arm.about['network']} ran on more than one thread")
    return seconds


def time_rounds(arms: list[Arm], rounds: int, device: str) -> np.ndarray:
    """Records per second [rounds, arms]."""
    records = np.array([arm.records for arm in arms])
    return records / take_turns([partial(time_call, arm, device) for arm in arms], rounds)
