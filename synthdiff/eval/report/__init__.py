"""The evaluation report as one HTML file."""

from synthdiff.eval.report.page import write_report

__all__ = ["write_report"]
