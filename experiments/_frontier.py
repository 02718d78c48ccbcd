"""Plot of a frontier record: each knob's way between fidelity and exposure."""

from pathlib import Path

from synthdiff.eval.frontier import EXPOSURE, QUALITY, summarise_points
from synthdiff.eval.frontier_plots import draw_frontier

GAP = {"loss gap": "loss of strangers less loss of members, nats"}


def plot_frontier(record: dict, path: Path) -> None:
    """The figure of the report for every point of the record, and the gap of the loss."""
    exposure = EXPOSURE | GAP
    points = summarise_points(record["runs"], (*QUALITY, *exposure))
    draw_frontier(points, {}, exposure).savefig(path, dpi=110)
