"""The tables and figures of the README and of papers. A new one is an entry of TABLES."""

from _paper_plots import (
    plot_few_steps,
    plot_intervals,
    plot_panels_of,
    plot_record,
    plot_search,
)
from _papers import Line, Table
from _speed_tables import SPEED_TABLES
from _sweep_plots import plot_arms, plot_frontier, plot_sizes

from synthdiff.eval.protocol.score import METRICS

ATTACKS = ("distance", "calibrated_distance", "neighbourhood", "density_ratio",
           "likelihood_influence", "data_plagiarism_index", "classifier")  # fmt: skip
ON_MODEL = ("loss", "lira", "rmia", "learnt_losses", "learnt_calibrated", "gradient", "pia",
            "secmi", "pseudo_likelihood")  # fmt: skip
OVERFITTED = "/audits/300 patients, 3000 steps"
EVENTS = {
    **{name: f"{name} rejects" for name in ATTACKS},
    "verdict LEAK DETECTED": "verdict LEAK DETECTED",
    "verdict INCONCLUSIVE": "verdict INCONCLUSIVE",
    "verdict NO LEAK DETECTED": "verdict NO LEAK DETECTED",
    "planted leak found": "planted leak of 10% found",
    "planted leak_small found": "planted leak of 1% found",
}
PERCENT, AUC = 0.5, 0.02  # tolerances where the record has one seed


def make_quality_table(dataset: str, record: str) -> Table:
    """A record of benchmark_quality.py."""
    return Table(
        f"{dataset}: data quality by the TabDiff protocol",
        record,
        "/methods",
        tuple(Line(about, 3, PERCENT if "%" in about else AUC, (f"/scores/{name}",))
              for name, about in METRICS.items()),
        note="Mean ± standard deviation over training seeds where there are several, else over "
        "sampled tables.",
    )  # fmt: skip


def make_privacy_table(dataset: str, record: str) -> Table:
    """A record of dp_utility.py."""
    return Table(
        f"{dataset}: what differential privacy costs, by epsilon (0: none)",
        record,
        "/runs",
        (
            Line("fidelity rate, %", 2, PERCENT, ("/*/fidelity rate",)),
            Line("fidelity rate of other real rows, %", 2, None, ("/*/fidelity rate, floor",)),
            Line("detection AUC (0.5 is best)", 3, AUC, ("/*/detection AUC",)),
            Line("AUROC, trained on real", 3, None, ("/*/utility trtr auroc",)),
            Line("AUROC, trained on synthetic", 3, AUC, ("/*/utility tstr auroc",)),
            Line("attack by likelihood influence, AUC", 3, AUC,
                 ("/*/attack likelihood_influence AUC",)),
        ),
        note="Mean ± standard deviation over training seeds.",
    )  # fmt: skip


def make_canaries_table(what: str, record: str, tolerance: float) -> Table:
    """A record of validate_dp.py."""
    return Table(
        f"Canaries: lower bounds on epsilon beside what {what}",
        record,
        "/rows",
        (
            Line("claimed epsilon", 2, 0.01, ("/claimed epsilon",)),
            Line("lower bound", 2, tolerance, ("/lower bound",)),
            Line("if all is as claimed", 2, tolerance, ("/bound if all is as claimed",)),
            Line("at a third of the noise", 2, 5 * tolerance,
                 ("/bound at a third of the noise",)),
        ),
        name="{epsilon of the run:g}, {release}",
        tall=True,
        note="At 95% confidence for all of the record.",
    )  # fmt: skip


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
        "their errors are as published, ours those of the Adult table (NFE 32).",
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


def make_fairness_table(title: str, record: str) -> Table:
    """A record of fairness.py."""
    columns = ("real", "as is", "balanced", "change")
    names = {
        "auroc": "AUROC",
        "auroc, worst group": "AUROC, worst group",
        "accuracy, worst group": "accuracy, worst group",
        "equalised_odds_gap": "equalised-odds gap",
        "auroc_gap": "gap of AUROC",
        "calibration_error_gap": "gap of calibration error",
    }
    return Table(
        title,
        record,
        columns,
        tuple(Line(label, 3, 0.05, tuple(f"/scores/{name}/{column}" for column in columns))
              for name, label in names.items()),
        note="Models of each table on real rows, mean ± standard deviation over training seeds. "
        "Change: balanced less as is, 95% interval over test patients.",
    )  # fmt: skip


def make_ablation_table(dataset: str, record: str) -> Table:
    """A record of ablate.py."""
    return Table(
        f"{dataset}: what each choice is worth",
        record,
        "/runs",
        (
            Line("loss on others, nats", 2, 0.2, ("/*/held-out loss",)),
            Line("loss on the training rows", 2, 0.2, ("/*/training loss",)),
            Line("detection AUC", 3, AUC, ("/*/detection AUC",)),
            Line("fidelity rate, %", 2, PERCENT, ("/*/fidelity rate",)),
            Line("parameters", 0, None, ("/*/parameters",)),
            Line("seconds to train", 0, None, ("/*/seconds to train",)),
        ),
        tall=True,
        note="Mean ± standard deviation over training seeds. The loss of a learnt schedule is "
        "another one and not to be compared.",
        plot=plot_record(plot_arms),
    )


TABLES = {
    "rand_hie": Table(
        "RAND HIE, three training seeds",
        "rand_hie.json",
        ("synthetic", "floor or real"),
        (
            Line("fidelity rate, %", 2, 0.05, ("/scores/fidelity rate",
                 "/scores/fidelity rate, floor")),
            Line("detection AUC (0.5 is best)", 3, 0.01, ("/scores/detection AUC",
                 "/scores/detection AUC, floor")),
            Line("accuracy of models that predict self-rated `health`", 3, 0.01,
                 ("/scores/utility tstr accuracy", "/scores/utility trtr accuracy")),
            Line("AUROC of the same models", 3, 0.01,
                 ("/scores/utility tstr auroc", "/scores/utility trtr auroc")),
            Line("attack by likelihood influence, AUC (0.5 is chance)", 3, 0.01,
                 ("/scores/attack likelihood_influence AUC", "0.5")),
            Line("seconds to train", 0, None, ("/scores/seconds train", "")),
            Line("seconds to sample", 0, None, ("/scores/seconds sample", "")),
        ),
        note="Mean ± standard deviation over training seeds.",
    ),
    "rand_hie_visits": Table(
        "RAND HIE, people with their years as one record, three training seeds",
        "rand_hie_visits.json",
        ("synthetic", "floor or real"),
        (
            Line("AUC of a detector of whole people (0.5 is best)", 3, AUC,
                 ("/scores/visits detection AUC", "/scores/visits detection AUC, floor")),
            Line("measures of what follows what, beyond real people's", 0, 1.0,
                 ("/scores/visits measures, flagged", "")),
            Line("of so many", 0, None, ("/scores/visits measures", "")),
            Line("fidelity rate of rows, %", 2, PERCENT, ("/scores/fidelity rate",
                 "/scores/fidelity rate, floor")),
            Line("detection AUC of rows", 3, AUC, ("/scores/detection AUC",
                 "/scores/detection AUC, floor")),
            Line("AUROC of models that predict `health`", 3, AUC,
                 ("/scores/utility tstr auroc", "/scores/utility trtr auroc")),
            Line("attack by likelihood influence on rows, AUC", 3, AUC,
                 ("/scores/attack likelihood_influence AUC", "0.5")),
            Line("seconds to train", 0, None, ("/scores/seconds train", "")),
        ),
        note="Mean ± standard deviation over training seeds.",
    ),
    "frontier": Table(
        "RAND HIE: fidelity against exposure, one setting at a time",
        "frontier_rand_hie.json",
        "/runs",
        (
            Line("fidelity rate, %", 2, 0.1, ("/*/fidelity rate",)),
            Line("detection AUC", 3, AUC, ("/*/detection AUC",)),
            Line("AUROC lost to real rows, points", 1, 2.0, ("/*/auroc gap, points",)),
            Line("attack on the table, AUC", 3, AUC, ("/*/attack likelihood_influence AUC",)),
            Line("attack on the model, AUC", 3, AUC, ("/*/attack on the model, loss AUC",)),
            Line("loss gap, nats", 2, 0.2, ("/*/loss gap",)),
        ),
        tall=True,
        note="Mean ± standard deviation over seeds of split, training and table.",
        plot=plot_record(plot_frontier),
    ),
    "pretraining": Table(
        "Diabetes 130, patients of cardiology: beginning with other patients",
        "pretraining_diabetes130.json",
        "/runs",
        (
            Line("detection AUC", 3, AUC, ("/*/detection AUC",)),
            Line("fidelity rate, %", 2, PERCENT, ("/*/fidelity rate",)),
            Line("AUROC, trained on synthetic", 3, AUC, ("/*/utility tstr auroc",)),
            Line("AUROC, trained on the same real patients", 3, None, ("/*/utility trtr auroc",)),
            Line("attack on the table, AUC", 3, AUC, ("/*/attack likelihood_influence AUC",)),
            Line("attack on the model, AUC", 3, AUC, ("/*/attack on the model, loss AUC",)),
        ),
        tall=True,
        note="Mean ± standard deviation over seeds of split, training and table.",
        plot=plot_record(plot_sizes),
    ),
    "simulated_codes": Table(
        "2,000 simulated codes",
        "simulated_codes.json",
        ("synthetic", "real rows", "as if independent"),
        (
            Line("prevalence of codes, R2", 3, 0.005, ("/scores/codes prevalence R2",
                 "/scores/codes prevalence R2, floor", "")),
            Line("pairs of the 200 most frequent, R2", 3, 0.05, ("/scores/codes cooccurrence R2",
                 "/scores/codes cooccurrence R2, floor", "/scores/codes cooccurrence R2, apart")),
            Line("number of codes per row, distance", 3, 0.02, ("/scores/codes set size distance",
                 "/scores/codes set size distance, floor", "")),
            Line("AUC of models of a code", 3, AUC, ("/scores/codes models tstr AUC",
                 "/scores/codes models trtr AUC", "0.5")),
            Line("AUROC of models of the outcome", 3, AUC, ("/scores/utility tstr auroc",
                 "/scores/utility trtr auroc", "")),
            Line("detection AUC (0.5 is best)", 3, AUC, ("/scores/detection AUC",
                 "/scores/detection AUC, floor", "")),
            Line("attack by a classifier, the strongest, AUC", 3, AUC,
                 ("/scores/attack classifier AUC", "0.5", "")),
        ),
        note="Mean ± standard deviation over training seeds.",
    ),
    "ablation_rand_hie": make_ablation_table("RAND HIE", "ablation_rand_hie.json"),
    "fairness": make_fairness_table(
        "RAND HIE: black and other people in equal number", "fairness_rand_hie.json"
    ),
    "fairness_joint": make_fairness_table(
        "RAND HIE: the same, with health as frequent in both", "fairness_joint_rand_hie.json"
    ),
    "adult": make_quality_table("Adult", "adult.json")._replace(
        by_hand="add --train.max_epochs=100 to the record's command, which is older than the limit"
    ),
    "magic": make_quality_table("Magic", "magic.json"),
    "default": make_quality_table("Default", "default.json"),
    "beijing": make_quality_table("Beijing", "beijing.json"),
    "diabetes130_rows": make_quality_table("Diabetes 130, rows", "diabetes130_rows.json"),
    "diabetes130_patients": make_quality_table(
        "Diabetes 130, patients", "diabetes130_patients.json"
    ),
    "dp_rand_hie": make_privacy_table("RAND HIE", "dp_utility_rand_hie.json"),
    "dp_diabetes130": make_privacy_table("Diabetes 130", "dp_utility_diabetes130.json"),
    "dp_start": make_privacy_table(
        "Diabetes 130, cardiology, beginning at another model", "dp_start_diabetes130.json"
    )._replace(by_hand="make the two runs of experiments/results/README.md, then its command"),
    "null_splits": Table(
        "Audits of RAND HIE in which nothing was learnt",
        "null_splits.json",
        ("share of splits",),
        tuple(Line(label, 3, 0.05, (f"/rates/{name}",)) for name, label in EVENTS.items()),
        note="With 95% intervals.",
        plot=plot_intervals,
    ),
    "canaries_tables": make_canaries_table(
        "histograms and pair tables claim", "canaries_tables.json", 2.0
    ),
    "canaries": make_canaries_table(
        "histograms and private gradients claim", "canaries.json", 1.0
    ),
    "whitebox": Table(
        "Attacks on a model overfitted to 300 patients of RAND HIE",
        "whitebox_rand_hie.json",
        ("AUC", "TPR at 1% FPR"),
        tuple(Line(f"{name}, on the {what}", 3, 0.1, (f"{OVERFITTED}{block}/attacks/{name}/auc",
                   f"{OVERFITTED}{block}/attacks/{name}/tpr_at_1pct_fpr"))
              for what, block, names in (("table", "", ATTACKS), ("model", "/whitebox", ON_MODEL))
              for name in names),
        note="With 95% intervals.",
        plot=plot_intervals,
    ),
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
    "few_steps": Table(
        "Quality against network evaluations, Adult",
        "few_steps.json",
        "/tables/scores",
        (
            Line("shape, %", 2, PERCENT, ("/shape",)),
            Line("trend, %", 2, PERCENT, ("/trend",)),
            Line("detection AUC", 3, AUC, ("/detection_auc",)),
            Line("records per second", 0, None, ("/records_per_s",)),
        ),
        name="{components} guesses, NFE {nfe}",
        tall=True,
        note="Mean ± standard deviation over training seeds.",
        plot=plot_few_steps,
        by_hand="train a run per seed and number of components, run benchmark_few_steps.py in each "
        "and join_few_steps.py on all",
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
    **SPEED_TABLES,
}  # fmt: skip
