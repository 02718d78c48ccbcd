"""The tables of speed: measured, beside others and predicted."""

from _paper_plots import plot_intervals, plot_panels_of, plot_search
from _papers import Line, Table


def make_cost_table(what: str, record: str) -> Table:
    """A record of cost_model.py."""
    return Table(
        f"Predicted seconds of a training step on many chips, {what}",
        record,
        "/tables/predicted",
        (
            Line("compute", 5, None, ("/compute_s",)),
            Line("update", 5, None, ("/update_s",)),
            Line("reduce", 5, None, ("/reduce_s",)),
            Line("step", 5, None, ("/step_s",)),
            Line("efficiency", 3, 0.01, ("/efficiency",)),
        ),
        name="{scaling}, chips: {chips}",
        tall=True,
    )


def make_peers_table(place: str, record: str, unit: str) -> Table:
    """A record of benchmark_peers.py."""
    return Table(
        f"Speed of sampling beside published networks, Adult, {place}",
        record,
        "/tables/networks",
        (
            Line("parameters", 0, None, ("/parameters",)),
            Line("evaluations per record", 0, None, ("/evaluations",)),
            Line(f"records per {unit}", 1, None, ("/records_per_s",)),
            Line("ours with NFE 32 is faster, times", 1, None, ("/ours_32_times",)),
            Line("ours with NFE 8 is faster, times", 1, None, ("/ours_8_times",)),
            Line("shape error, %", 2, None, ("/shape_error",)),
            Line("trend error, %", 2, None, ("/trend_error",)),
        ),
        name="{network}",
        tall=True,
        note="Median and range over rounds. Peers are rebuilt from published sizes and untrained; "
        "their errors are as published, ours those of the Adult tables.",
        plot=plot_intervals({}, logarithmic=True),
    )


def list_speeds(digits: int) -> tuple[Line, ...]:
    """What a table of training speed shows; digits: of the seconds."""
    return (
        Line("seconds per step", digits, None, ("/step_s",)),
        Line("records per second", 0, None, ("/records_per_s",)),
        Line("share of peak FLOP/s", 3, None, ("/share_of_peak",)),
    )


def make_gpu_table(what: str, record: str) -> Table:
    """A record of benchmark_training.py on a GPU."""
    return Table(
        f"Speed of training on one GPU, {what}",
        record,
        "/tables/dispatch",
        list_speeds(digits=5),
        name="{steps_per_call} steps per dispatch",
        tall=True,
    )


SPEED_TABLES = {
    "search": Table(
        "Nearest-neighbour search by index and size",
        "search.json",
        "/rows",
        (
            Line("seconds to build", 3, None, ("/build_s",)),
            Line("seconds per 1,000 queries", 3, None, ("/per_1000_queries_s",)),
            Line("recall of the nearest", 3, 0.01, ("/recall_1",)),
            Line("recall of the 20 nearest", 3, 0.01, ("/recall_20",)),
        ),
        name="{rows:,} rows, {index}",
        tall=True,
        note="Processor seconds of one thread.",
        plot=plot_search,
    ),
    "sampling": Table(
        "Speed of sampling",
        "sampling.json",
        "/tables/samplers",
        (
            Line("seconds to compile", 1, None, ("/compile_s",)),
            Line("records per second", 0, None, ("/records_per_s",)),
            Line("share of peak FLOP/s", 3, None, ("/share_of_peak",)),
        ),
        name="{sampler}, NFE {nfe}",
        tall=True,
        plot=plot_panels_of("sampling"),
    ),
    "peers": make_peers_table("one core", "peers.json", "processor second"),
    "gpu_peers": make_peers_table("one GPU", "gpu_peers.json", "second"),
    "training": Table(
        "Speed of training by columns",
        "training.json",
        "/tables/columns",
        list_speeds(digits=3),
        name="{columns} columns",
        tall=True,
        plot=plot_panels_of("training"),
    ),
    "audit_speed": Table(
        "Speed of the audit by patients a side",
        "audit_speed.json",
        "/tables/audit",
        (
            Line("seconds for the table", 0, None, ("/table_s",)),
            Line("losses of the model", 0, None, ("/losses",)),
            Line("seconds for them", 0, None, ("/losses_s",)),
            Line("seconds for all attacks on the model", 0, None, ("/whitebox_s",)),
        ),
        name="{patients} patients",
        tall=True,
        plot=plot_panels_of("audit_speed"),
    ),
    "columns_training": Table(
        "Training, up to 10,000 code columns",
        "columns_training.json",
        "/tables/columns",
        (
            Line("seconds per step", 2, None, ("/step_s",)),
            Line("memory, GB", 1, None, ("/host_gb",)),
        ),
        name="{columns} columns",
        tall=True,
        plot=plot_panels_of("training"),
    ),
    "columns_sampling": Table(
        "Sampling, up to 10,000 code columns",
        "columns_sampling.json",
        "/tables/columns",
        (
            Line("seconds for 512 records", 1, None, ("/p50_s",)),
            Line("memory of the program, MB", 0, None, ("/program_mb",)),
        ),
        name="{columns} columns",
        tall=True,
        plot=plot_panels_of("sampling"),
    ),
    "shards": Table(
        "Ten million records into shards",
        "shards.json",
        "/tables/shards",
        (
            Line("shards", 0, None, ("/shards",)),
            Line("processor seconds", 0, None, ("/processor_s",)),
            Line("records per processor second", 0, None, ("/records_per_processor_s",)),
            Line("most memory since the row before, MB", 0, None, ("/peak_mb",)),
        ),
        name="{rows:,} records",
        tall=True,
        plot=plot_panels_of("shards"),
    ),
    "gpu_training": make_gpu_table("default size, batches of 256", "gpu_training.json"),
    "gpu_training_wide": make_gpu_table("wide, batches of 8,192", "gpu_training_wide.json"),
    "gpu_torch": Table(
        "A plain perceptron in two frameworks, one GPU",
        "gpu_torch.json",
        "/tables/steps",
        (
            Line("steps per second", 0, None, ("/steps_per_s",)),
            Line("loss after the same steps", 4, None, ("/loss",)),
        ),
        name="{arm}, batches of {batch}",
        tall=True,
    ),
    "scaling": Table(
        "Scaling over devices",
        "scaling.json",
        "/tables/devices",
        (
            Line("seconds per step", 3, None, ("/step_s",)),
            Line("efficiency", 2, None, ("/efficiency",)),
        ),
        name="{scaling}, devices: {devices}",
        tall=True,
        plot=plot_panels_of("scaling"),
    ),
    "speed": Table(
        "How many times as fast",
        "speed.json",
        "/tables/ratios",
        (Line("CPU", 2, None, ("/cpu",)), Line("one H200", 2, None, ("/gpu",))),
        name="{ratio}",
        tall=True,
        note="Each ratio is of one run on one machine; median and range over rounds, where there "
        "are several.",
        plot=plot_intervals({"CPU": 1.0, "one H200": 1.0}, logarithmic=True),
        by_hand="run join_speed.py --measure on a CPU and on a GPU, which takes PyTorch",
    ),
    "torch": Table(
        "A plain perceptron in two frameworks, two CPU cores",
        "torch.json",
        "/tables/steps",
        (
            Line("steps per second", 1, None, ("/steps_per_s",)),
            Line("loss after the same steps", 4, None, ("/loss",)),
        ),
        name="{arm}, batches of {batch}",
        tall=True,
    ),
    "startup": Table(
        "Time to start, median of three processes",
        "startup.json",
        ("seconds",),
        tuple(
            Line(name, 2, None, (f"/median seconds, {name}",))
            for name in ("import synthdiff", "sample, no cache", "sample, filled cache")
        ),
    ),
    "generators": Table(
        "Generators trained and drawn from side by side on one core, Adult",
        "generators.json",
        "/tables/generators",
        (
            Line("processor seconds to train", 0, None, ("/train_cpu_s",)),
            Line("records per processor second", 0, None, ("/records_per_cpu_s",)),
            Line("ours trains faster, times", 2, None, ("/ours trains faster, times",)),
            *(
                Line(f"ours with NFE {nfe} samples faster, times", 3, None,
                     (f"/ours samples faster, NFE {nfe}, times",))
                for nfe in (32, 8)
            ),
            Line("shape error, %", 2, 0.5, ("/shape_error",)),
            Line("trend error, %", 2, 0.5, ("/trend_error",)),
            Line("detection AUC", 3, 0.02, ("/detection_auc",)),
        ),
        name="{generator}",
        tall=True,
        note="One training seed; compilation counts.",
    ),
    "cost_model": make_cost_table("H200, wide, batches of 8,192", "cost_model.json"),
    "cost_model_default": make_cost_table(
        "H200, default size, batches of 256", "cost_model_default.json"
    ),
}  # fmt: skip
