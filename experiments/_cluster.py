"""Which processes make up a run: one, those that flags name, or those of the scheduler.

    python experiments/train.py --coordinator=10.0.0.1:1234 --num_processes=2 --process_id=0
    srun python experiments/train.py --coordinator=auto

The first process alone reads and writes the run folder in training; to sample, all must see it.
What only one can do, the first does, and the others end.
"""

from collections.abc import Callable
from functools import wraps
from pathlib import Path

from _common import FLAGS
from absl import flags

from synthdiff._validate import input_error


def define_cluster_flags() -> None:
    flags.DEFINE_string(
        "coordinator",
        None,
        "host:port of process 0, or auto where jax detects the cluster (TPU, SLURM, Open MPI, "
        "Kubernetes); default: one process",
    )
    flags.DEFINE_integer("num_processes", None, "how many processes share the run")
    flags.DEFINE_integer("process_id", None, "which of them this is, from 0")


def on_cluster(stage: Callable[[Path], None]) -> Callable[[Path], None]:
    """The stage, after this process has joined the others."""

    @wraps(stage)
    def joined(run_dir: Path) -> None:
        join_processes()
        stage(run_dir)

    return joined


def first_alone(stage: Callable[[Path], None]) -> Callable[[Path], None]:
    """The stage in the first process, where a launcher starts several; the others end at once."""

    @wraps(stage)
    def chosen(run_dir: Path) -> None:
        join_processes()
        if FLAGS.coordinator is None or is_left_to_us():
            stage(run_dir)

    return chosen


def is_left_to_us() -> bool:
    """Parts the processes; whether this is the one that goes on, alone. All come here."""
    from synthdiff.train.processes import is_first, leave  # as below

    first = is_first()
    leave()
    return first


def join_processes() -> None:
    """Joins the processes that the flags name; must come before anything else asks for devices."""
    address, given = FLAGS.coordinator, (FLAGS.num_processes, FLAGS.process_id)
    if address is None:
        if given != (None, None):
            fix = "name --coordinator=host:port of process 0"
            raise input_error("--num_processes, --process_id", "nobody to meet", fix)
        return
    import jax  # here, so that evaluation and audit of CSV files need no JAX

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # CPUs have none by default
    jax.config.update("jax_enable_preemption_service", False)  # it would swallow SIGTERM
    if address == "auto":
        jax.distributed.initialize()
        return
    if None in given or not 0 <= FLAGS.process_id < FLAGS.num_processes:
        where = f"--coordinator={address}"
        fix = "give --num_processes, and --process_id below it"
        raise input_error(where, "does not say which process this is", fix)
    jax.distributed.initialize(address, *given)
