"""The section on how synthetic rows come out of noise, step by step."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval.report.formats import number, percent
from synthdiff.eval.report.markup import Html, image, section, tag
from synthdiff.eval.trajectory_plots import plot_trajectory


def write_trajectory(trajectory: Mapping) -> Html:
    """One figure, from noise on the left to finished rows on the right, and how to read it."""
    steps, masked, columns = (trajectory[key] for key in ("steps", "masked", "columns"))
    intro = (
        "The model starts every synthetic patient record as noise and clears it in "
        f"{steps[-1]} small steps. Categories start blank and are filled in one after another, in "
        "a random order for each record and each fitting those already there; numbers start "
        "blurred and become sharper. None begins as a real record; whether the model learnt real "
        "ones by heart is tested in the section on privacy."
    )
    caption = (
        f"The same {trajectory['rows']:,} synthetic rows after more and more steps. Top: share of "
        "all cells that are filled in. "
    )
    if noise := trajectory["noise"]:
        far, middle = noise["distance"], len(steps) // 2
        caption += (
            "Grey: how far numbers are from their final value, in standard deviations (shape only, "
            f"each as high as the panel; typically {number(far[0], 1)} at the start, "
            f"{number(far[middle], 1)} at step {steps[middle]}). "
        )
    caption += (
        "Orange: rows whose value is filled in by then; dotted outline: where all of them end."
    )
    filled = ", ".join(percent(1 - share, 0) for share in masked)
    alt = f"Synthetic rows from noise to finished, {filled} of cells filled in"
    alt += f"; distributions of {', '.join(columns)} at each." if columns else "."
    picture = image(plot_trajectory(trajectory), alt, caption)
    return section("Trajectory", "From noise to synthetic rows", tag("p", intro), picture)
