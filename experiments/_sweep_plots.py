"""The figures of sweeps: every seed of each arm, ways of the frontier, sizes of a cohort."""

from pathlib import Path

import matplotlib.pyplot as plt
from _cohort import ARMS
from _scores import summarise

from synthdiff.eval.frontier import EXPOSURE, QUALITY, summarise_points
from synthdiff.eval.frontier_plots import draw_frontier

OF_ARMS = ("held-out loss", "detection AUC", "fidelity rate")
GAP = {"loss gap": "loss of strangers less loss of members, nats"}
OF_SIZES = {
    "detection AUC": "detection AUC (0.5 is best)",
    "utility tstr auroc": "AUROC of models trained on it",
    "attack on the model, loss AUC": "attack on the model, AUC",
}


def plot_arms(record: dict, path: Path) -> None:
    """A panel per score of OF_ARMS, a line per arm, a dot per seed."""
    arms = {arm: summarise(list(runs.values())) for arm, runs in record["runs"].items()}
    figure, axes = plt.subplots(1, len(OF_ARMS), figsize=(4 * len(OF_ARMS), 1 + 0.4 * len(arms)))
    for axis, name in zip(axes, OF_ARMS, strict=True):
        for arm, scores in reversed(arms.items()):
            values = scores[name]["values"]
            axis.plot(values, [arm] * len(values), "o", color="#0072b2", alpha=0.5)
        axis.set_title(name)
        axis.tick_params("y", labelleft=axis is axes[0])
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_frontier(record: dict, path: Path) -> None:
    """The figure of the report for every point of the record, and the gap of the loss."""
    exposure = EXPOSURE | GAP
    points = summarise_points(record["runs"], (*QUALITY, *exposure))
    draw_frontier(points, {}, exposure).savefig(path, dpi=110)


def plot_sizes(record: dict, path: Path) -> None:
    """A panel per score of OF_SIZES: means over seeds by arm against patients, floors dashed."""
    runs = {name: summarise(list(found.values())) for name, found in record["runs"].items()}
    figure, axes = plt.subplots(1, len(OF_SIZES), figsize=(4.2 * len(OF_SIZES), 3.6))
    for axis, (score, label) in zip(axes, OF_SIZES.items(), strict=True):
        for arm in ARMS:
            found = {
                int(name.split(", ")[1]): s[score]
                for name, s in runs.items()
                if name.startswith(f"{arm}, ") and score in s
            }
            means, spread = ([s[part] or 0.0 for s in found.values()] for part in ("mean", "std"))
            axis.errorbar(list(found), means, spread, fmt="o-", label=arm, capsize=3)
        if score in runs["first model"]:
            axis.axhline(runs["first model"][score]["mean"], ls="--", c="grey", label="first model")
        axis.set(xscale="log", xlabel="patients of the cohort", ylabel=label)
    axes[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
