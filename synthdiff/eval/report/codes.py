"""The diversity and the codes sections: what is rare, and sets of codes."""

from __future__ import annotations

from collections.abc import Mapping

from synthdiff.eval import group_plots
from synthdiff.eval.report.formats import Result, find_part, number, percent, why_absent
from synthdiff.eval.report.marginals import write_key
from synthdiff.eval.report.markup import Html, image, join, remark, section, table, tag

AGREEMENTS = {
    "prevalence": {
        "synthetic": "How often each code occurs",
        "synthetic_rare": "the same, codes of under 1% of rows",
    },
    "cooccurrence": {
        "synthetic": "How often two codes occur together",
        "synthetic_phi": "the same beyond chance (phi)",
    },
}


def write_diversity(evaluation: Result) -> Html:
    """Recall of what is rare, and how varied the rows are, beside real rows."""
    diversity, reason = find_part(evaluation, "diversity")
    title = "Diversity: is what is rare still there?"
    if reason:
        return section("Diversity", title, remark(reason))
    rare, minority = diversity["rare_levels"], diversity["minority_class"]
    distinct, pairs = diversity["distinct_rows"], diversity["pair_coverage"]
    rows: list[tuple] = []
    label = f"Rare levels and codes that appear ({rare.get('levels', 0):,} in training)"
    if why_absent(rare):
        rows.append(("Rare levels and codes that appear", why_absent(rare)))
    else:
        rows += [
            (label, *(percent(rare[part]["recall"]) for part in ("synthetic", "floor"))),
            ("How often they occur, relative to training",
             *(number(rare[part]["prevalence_ratio"], 2) for part in ("synthetic", "floor"))),
        ]  # fmt: skip
    label = f"Recall of the target's rarest class ({minority.get('class')})"
    rows.append(_row(minority, label, "Recall of the target's rarest class"))
    label = f"Combinations of two levels that appear ({pairs.get('combinations', 0):,} in test)"
    rows.append(_row(pairs, label, "Combinations of two levels that appear"))
    rows.append(_row(distinct, "Distinct rows", "Distinct rows"))
    caption = (
        "Rare: under 1% of the training rows, but at least 5 patients. Both tables are compared "
        "at the same number of rows. Real: test rows; for combinations training rows, for the "
        "recall models trained on real rows."
    )
    body = table(caption, ("", "Synthetic", "Real"), rows)
    return section("Diversity", title, body)


def _row(result: Mapping, label: str, plain: str) -> tuple:
    if why_absent(result):
        return plain, why_absent(result)
    return label, *(percent(result[part]) for part in ("synthetic", "floor"))


def write_codes(evaluation: Result) -> Html:
    """Agreement of each code set with the real one: prevalence, pairs, sizes and models."""
    codes, reason = find_part(evaluation, "codes")
    title = "Codes: are diagnoses and other code sets right?"
    if reason:
        return section("Codes", title, remark(reason))
    parts = [_write_code_set(name, result) for name, result in codes.items()]
    return section("Codes", title, write_key(), *parts)


def _write_code_set(name: str, result: Mapping) -> Html:
    head = tag("h3", name)
    if why_absent(result):
        return join((head, remark(why_absent(result))))
    rows = []
    for part, labels in AGREEMENTS.items():
        for key, label in labels.items():
            rows += _agreement_rows(label, result[part], key)
    models = result["models"]
    if not why_absent(models):
        cells = _agreement_cells(models["agreement"])
        rows.append(("AUC of models of each code, real against synthetic", "synthetic", *cells))
    caption = (
        f"Agreement with training rows over {result['prevalence']['codes']:,} codes (those of at "
        f"least 5 patients), or {result['cooccurrence']['pairs']:,} pairs of the "
        f"{result['cooccurrence']['codes']} most frequent. R² is that of "
        "equality: 1 is exact, below 0 is worse than the mean. Floor: test rows. Independent: "
        "right prevalences and no relation between codes."
    )
    header = ("", "Table", "R²", "Pearson", "Spearman")
    sizes = result["set_size_distance"]
    lines = (
        f"Number of codes per row: total variation distance {number(sizes['synthetic'])} "
        f"(floor {number(sizes['floor'])}; 0 is equal). "
    )
    lines += (
        f"Models of single codes: {why_absent(models)}."
        if why_absent(models)
        else f"Models of the {models['codes']} most frequent codes from all else reach a mean AUC "
        f"of {number(models['trtr_auc'])} trained on real and {number(models['tstr_auc'])} "
        "trained on synthetic rows."
    )
    drawn = tag("div", *_draw(result), class_="grid pair")
    return join((head, drawn, table(caption, header, rows, text=2), tag("p", lines)))


def _draw(result: Mapping) -> list[Html]:
    figures = [
        image(
            group_plots.plot_prevalence(result["prevalence"]["points"]),
            "Share of rows with each code: training rows against synthetic and test rows.",
            join((tag("b", "Prevalence"), "on the grey line: as in training; log axes")),
        )
    ]
    if not why_absent(result["models"]):
        figures.append(
            image(
                group_plots.plot_code_models(result["models"]["points"]),
                "AUC of models of each frequent code, trained on real and on synthetic rows.",
                join((tag("b", "Models of single codes"), "on the grey line: no loss")),
            )
        )
    return figures


def _agreement_cells(agreement: Mapping) -> tuple:
    if why_absent(agreement):
        return (why_absent(agreement),)
    return tuple(number(agreement[key]) for key in ("r2", "pearson", "spearman"))


def _agreement_rows(label: str, result: Mapping, key: str) -> list[tuple]:
    """One row for the synthetic table, one for each yardstick."""
    rows = [(label, "synthetic", *_agreement_cells(result[key]))]
    for yardstick in ("floor", "independent"):
        other = key.replace("synthetic", yardstick)
        if other in result:
            rows.append(("", yardstick, *_agreement_cells(result[other])))
    return rows
