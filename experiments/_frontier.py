"""Plot of a frontier record: each knob's way between fidelity and exposure."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from _scores import summarise

from synthdiff.eval.frontier import EXPOSURE, QUALITY, group_points, split_point

GAP = {"loss gap": "loss of strangers less loss of members, nats"}
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


def plot_frontier(record: dict, path: Path) -> None:
    """Quality against exposure: one line per knob, bars of two standard errors over seeds."""
    scores = {point: summarise(list(runs.values())) for point, runs in record["runs"].items()}
    knobs, exposure = group_points(list(scores)), EXPOSURE | GAP
    del knobs["default"]
    figure, axes = plt.subplots(
        len(QUALITY), len(exposure), figsize=(5 * len(exposure), 4 * len(QUALITY)), squeeze=False
    )

    def draw(axis, names: list[str], x: str, y: str, colour: str, label: str) -> None:
        pairs = [[scores[name][key]["values"] for name in names] for key in (x, y)]
        (at_x, at_y), errors = (
            [[np.mean(v) for v in values] for values in pairs],
            [[2 * np.std(v, ddof=1) / len(v) ** 0.5 for v in values] for values in pairs]
            if len(pairs[0][0]) > 1
            else [None, None],
        )
        axis.errorbar(
            at_x, at_y, errors[1], errors[0], "o-", color=colour, label=label, alpha=0.8, ms=4, lw=1
        )
        for name, left, low in zip(names, at_x, at_y, strict=True):
            text = split_point(name)[1]
            axis.annotate(text, (left, low), (4, 4), textcoords="offset points", fontsize=7)

    for row, (y, y_label) in zip(axes, QUALITY.items(), strict=True):
        for axis, (x, x_label) in zip(row, exposure.items(), strict=True):
            for colour, (knob, points) in zip(COLOURS, knobs.items(), strict=False):
                draw(axis, points, x, y, colour, knob)
            draw(axis, ["default"], x, y, "black", "default")
            axis.set(xlabel=x_label, ylabel=y_label)
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
