"""Data quality as the field measures it: the evaluation of TabSyn and TabDiff, metric by metric.

Zhang et al., "TabSyn", ICLR 2024 (arXiv 2310.09656); Shi et al., "TabDiff", ICLR 2025
(arXiv 2410.20626). `score.score_table` runs all of them; each file holds one metric as a pure
function of prepared tables (see `tables.prepare`).
"""
