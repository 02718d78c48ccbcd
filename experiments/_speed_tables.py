"""The tables of speed beside others and of predicted speed."""

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


SPEED_TABLES = {
    "speed": Table(
        "How many times as fast",
        "speed.json",
        "/tables/ratios",
        (Line("CPU", 2, None, ("/cpu",)), Line("one H200", 2, None, ("/gpu",))),
        name="{ratio}",
        tall=True,
        note="Each ratio is of one run on one machine; median and range over rounds, where there "
        "are several.",
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
