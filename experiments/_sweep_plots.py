"""The figures of sweeps: every seed of each arm, ways of the frontier, sizes of a cohort."""

from pathlib import Path

from _cohort import ARMS
from _figures import REAL, in_style, save
from _scores import summarise
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from synthdiff.eval.frontier import EXPOSURE, QUALITY, summarise_points
from synthdiff.eval.frontier_plots import draw_frontier
from synthdiff.eval.plots import BLUE

OF_ARMS = {
    "held-out loss": "loss on others, nats",
    "detection AUC": "detection AUC (0.5 is best)",
    "fidelity rate": "fidelity rate, %",
}
GAP = {"loss gap": "loss of strangers less loss of members, nats"}
OF_SIZES = {
    "detection AUC": "detection AUC (0.5 is best)",
    "utility tstr auroc": "AUROC of models trained on it",
    "attack on the model, loss AUC": "attack on the model, AUC",
}


@in_style
def plot_arms(record: dict, path: Path) -> None:
    """A panel per score of OF_ARMS, a line per arm, a dot per seed."""
    arms = {arm: summarise(list(runs.values())) for arm, runs in record["runs"].items()}
    size = (3.2 * len(OF_ARMS) + 1, 1 + 0.25 * len(arms))
    figure = Figure(figsize=size, layout="constrained")
    for axes, (name, label) in zip(
        figure.subplots(1, len(OF_ARMS), sharey=True), OF_ARMS.items(), strict=True
    ):
        for arm, scores in reversed(arms.items()):
            values = scores[name]["values"]
            axes.plot(values, [arm] * len(values), "o", color=BLUE, alpha=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.grid(axis="x", color="#e4e4e4", linewidth=0.7)
        axes.set_xlabel(label)
    save(figure, path)


def plot_frontier(record: dict, path: Path) -> None:
    """The figure of the report for every point of the record, and the gap of the loss."""
    exposure = EXPOSURE | GAP
    points = summarise_points(record["runs"], (*QUALITY, *exposure))
    save(draw_frontier(points, {}, exposure), path)


@in_style
def plot_sizes(record: dict, path: Path) -> None:
    """A panel per score of OF_SIZES: means over seeds by arm against patients, floors dashed."""
    runs = {name: summarise(list(found.values())) for name, found in record["runs"].items()}
    sizes = sorted({int(name.split(", ")[1]) for name in runs if ", " in name})
    figure = Figure(figsize=(3.6 * len(OF_SIZES), 3.2), layout="constrained")
    panels = figure.subplots(1, len(OF_SIZES))
    for axes, (score, label) in zip(panels, OF_SIZES.items(), strict=True):
        for arm in ARMS:
            found = {
                int(name.split(", ")[1]): s[score]
                for name, s in runs.items()
                if name.startswith(f"{arm}, ") and score in s
            }
            means, spread = ([s[part] or 0.0 for s in found.values()] for part in ("mean", "std"))
            axes.errorbar(list(found), means, spread, label=arm, capsize=3)
        if score in runs["first model"]:
            axes.axhline(runs["first model"][score]["mean"], label="first model", **REAL)
        axes.set(xscale="log", xlabel="patients of the cohort", ylabel=label)
        axes.set_xticks(sizes, map(str, sizes))
        axes.xaxis.set_minor_locator(NullLocator())
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    save(figure, path)
