"""The tables and figures of the README and of papers. A new one is an entry of TABLES."""

from functools import partial

from _paper_plots import plot_few_steps, plot_intervals, plot_record, plot_scores
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
    "copies": "copies of training rows reject",
    "linkability": "linkability rejects",
    **{f"inference of {k}": f"inference of {k} rejects" for k in ("black", "female", "health")},
    "verdict LEAK DETECTED": "verdict LEAK DETECTED",
    "verdict INCONCLUSIVE": "verdict INCONCLUSIVE",
    "verdict NO LEAK DETECTED": "verdict NO LEAK DETECTED",
    "planted leak found": "planted leak of 10% found",
    "planted leak_small found": "planted leak of 1% found",
}
PERCENT, AUC = 0.5, 0.02  # tolerances where the record has one seed


def make_few_steps_table(what: str, record: str, by: str, first: str) -> Table:
    """A record of join_few_steps.py, told apart by model or sampler; first: done by hand."""
    return Table(
        f"Quality against network evaluations, {what}",
        record,
        "/tables/scores",
        (
            Line("shape, %", 2, PERCENT, ("/shape",)),
            Line("trend, %", 2, PERCENT, ("/trend",)),
            Line("detection AUC", 3, AUC, ("/detection_auc",)),
            Line("records per second", 0, None, ("/records_per_s",)),
        ),
        name=f"{{{by}}}, NFE {{nfe}}",
        tall=True,
        note="Mean ± standard deviation over training seeds.",
        plot=partial(plot_few_steps, by=by),
        by_hand=f"{first} benchmark_few_steps.py in each and join_few_steps.py on all",
    )


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
        plot=plot_scores(real="real"),
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
        plot=plot_scores(lines={
            "fidelity rate, %": "fidelity rate of other real rows, %",
            "detection AUC (0.5 is best)": 0.5,
            "AUROC, trained on synthetic": "AUROC, trained on real",
            "attack by likelihood influence, AUC": 0.5,
        }, columns="epsilon (0: none)"),
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
        plot=plot_scores(real="real"),
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


def make_spaces_table(what: str, lines: dict[str, str]) -> Table:
    """A record of embeddings.py."""
    percent = "%" in what
    return Table(
        f"RAND HIE, columns and embeddings: {what}",
        "embeddings.json",
        "/runs",
        tuple(Line(label, 1 if percent else 3, 1.0 if percent else AUC, (f"/*/{score}",))
              for label, score in lines.items()),
        tall=True,
        note="Mean ± standard deviation over seeds of split, training and table.",
        plot=plot_scores(),
        by_hand="add --sampler.num_steps=64 to the record's command, then the default",
    )  # fmt: skip


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
        plot=plot_scores(real="floor or real"),
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
        plot=plot_scores(real="floor or real"),
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
    "embeddings": make_spaces_table("attacks on the table", {
        "distance, AUC": "distance AUC",
        "distance, TPR at 1% FPR": "distance TPR at 1% FPR",
        "calibrated distance, AUC": "calibrated_distance AUC",
        "calibrated distance, TPR at 1% FPR": "calibrated_distance TPR at 1% FPR",
        "likelihood influence, AUC": "likelihood_influence AUC",
    }),
    "embeddings_measures": make_spaces_table("measures of tables, %", {
        f"{measure.replace('_', '-')}, {table}": f"{measure}, {table}"
        for measure in ("alpha_precision", "beta_recall")
        for table in ("real", "shuffled", "synthetic")
    }),
    "embeddings_search": make_spaces_table("changed rows that are found", {
        f"{count} changed, found {where}": f"{count} changed, found {where}"
        for count in (1, 3)
        for where in ("first", "in ten")
    }),
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
        plot=plot_scores(real="real rows"),
    ),
    "ablation_rand_hie": make_ablation_table("RAND HIE", "ablation_rand_hie.json"),
    "fairness": make_fairness_table(
        "RAND HIE: black and other people in equal number", "fairness_rand_hie.json"
    ),
    "fairness_joint": make_fairness_table(
        "RAND HIE: the same, with health as frequent in both", "fairness_joint_rand_hie.json"
    ),
    "adult": make_quality_table("Adult", "adult.json"),
    "adult_nfe16": make_quality_table("Adult, 16 evaluations", "adult_nfe16.json"),
    "adult_nfe8": make_quality_table("Adult, 8 evaluations", "adult_nfe8.json"),
    "magic": make_quality_table("Magic", "magic.json"),
    "default": make_quality_table("Default", "default.json")._replace(
        by_hand="it was scored by 4 settings of MLE, an option that is gone: take its command "
        "without --mle_grid, and expect a higher MLE"
    ),
    "default_short": make_quality_table("Default, 1,500 steps of 512", "default_short.json"),
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
        plot=plot_intervals({}),
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
        plot=plot_intervals({"AUC": 0.5, "TPR at 1% FPR": 0.01}),
    ),
    "few_steps": make_few_steps_table(
        "Adult", "few_steps.json", "model", "train a run per seed and number of components, and "
        "students with distill.py, run",
    ),
    "few_steps_samplers": make_few_steps_table(
        "RAND HIE", "few_steps_samplers.json", "sampler", "train with repeat.py, run",
    ),
    **SPEED_TABLES,
}  # fmt: skip
