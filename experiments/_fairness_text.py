"""A record of fairness.py as Markdown."""

from synthdiff.eval.markdown import format_rows

NOTES = ("command", "seeds", "train_steps", "rows", "test_patients", "target", "commit", "device",
         "wall_seconds")  # fmt: skip


def format_markdown(record: dict) -> str:
    """The record as Markdown: each score of real, as-is and balanced tables."""
    lines = [f"# Fairness: {record['dataset']}, {record['balance']} balanced", ""]
    lines += [f"- {key}: {record[key]}" for key in NOTES]
    lines += ["", "Models of each table tested on real rows: mean ± std over training seeds.",
              "Change: balanced minus as is, 95% interval over test patients.", ""]  # fmt: skip
    for added, change in (("", "change"), ("real + ", "change, added")):
        arms = ["real", f"{added}as is", f"{added}balanced"]
        rows = []
        for name, row in record["scores"].items():
            if "skipped" in row:
                rows.append([name, f"skipped: {row['skipped']}", "", "", ""])
                continue
            spread = [f"{row[arm]['mean']:.3f} ± {row[arm]['std'] or 0:.3f}" for arm in arms[1:]]
            gain = "{value:+.3f} ({lower:+.3f} to {upper:+.3f})".format(**row[change])
            rows.append([name, f"{row['real']:.3f}", *spread, gain])
        lines += [*format_rows(["score", *arms, "change"], rows), ""]
    return "\n".join(lines)
