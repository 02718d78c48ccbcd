"""Writes report.html, MODEL_CARD.md and DATASHEET.md of a run anew, from what its stages left.

    python experiments/report.py --run_dir=runs/quickstart --frontier=frontier.json

For instance after `audit.py --whitebox`. pipeline.py ends with the same.
"""

from _common import run_script
from _report import define_frontier_flag, report
from _stages import locked

if __name__ == "__main__":
    run_script(locked(report), define_frontier_flag)
