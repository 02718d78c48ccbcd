"""One self-contained HTML page about a synthetic table: fidelity, utility, privacy, provenance.

It is built from aggregate results only: no function here is ever given a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from synthdiff.data.schema import Column, Schema
from synthdiff.eval import plots
from synthdiff.eval.report_text import (
    METRICS,
    VERDICTS,
    Html,
    by_auc,
    draw_tiles,
    flatten,
    image,
    join,
    number,
    p_value,
    page,
    percent,
    point,
    spaced,
    table,
    tag,
    why_absent,
)

INTERVALS = "95% interval"
MAX_MARGINALS = 48
MAX_PAIR_COLUMNS = 120
FACTS = {
    "Data set": ("dataset",),
    "Date": ("date", "created"),
    "Commit": ("commit", "git_revision"),
    "Seed": ("seed", "seeds"),
}
DISTANCES = {
    "ks": "numeric (1 − KS)",
    "tvd": "categories (1 − TVD)",
    "codes": "codes (prevalence)",
}
CONTROLS = {
    "null": "chance: fresh real rows stand in for the synthetic table, so there is nothing to find",
    "leak": "well above chance: member rows were copied in on purpose",
    "blind": "chance: the attacker sees no synthetic row, so a signal means a biased split",
}


def write_report(
    path: str | Path,
    *,
    manifest: Mapping,
    schema: Schema,
    evaluation: Mapping | None,
    audit: Mapping | None,
    training: Sequence[Mapping] | None,
) -> None:
    """Writes the report as one HTML file that needs no network and no script.

    manifest: as `train.manifest.describe_run` gives it, plus a "dataset" name. "date" (or
      "created"), "commit" (or "git_revision") and "seed" (or "seeds") go to the head of the
      page; a "differential_privacy" that is not empty replaces "none was used".
    evaluation, audit: the result dictionaries; a metric may be {"skipped": reason}.
    training: rows {"step", "loss", "continuous", "categorical"}.
    A None section says that it was not run.
    """
    body = (
        _write_head(manifest, evaluation),
        draw_tiles(evaluation, audit),
        tag("nav", *(tag("a", title, href=f"#{title.lower()}") for title in _SECTIONS)),
        _write_limits(manifest),
        _write_fidelity(evaluation, schema),
        _write_utility(evaluation),
        _write_privacy(audit),
        _write_training(training),
        _write_provenance(manifest, schema),
    )
    title = f"Synthetic data report: {_find_fact(manifest, 'Data set')}"
    Path(path).write_text(page(title, body), encoding="utf-8")


_SECTIONS = ("Limits", "Fidelity", "Utility", "Privacy", "Training", "Provenance")


def _section(name: str, title: str, *body: object) -> Html:
    return tag("section", tag("h2", title, id=name.lower()), *body)


def _find_fact(manifest: Mapping, fact: str) -> str:
    value = next((manifest[key] for key in FACTS[fact] if manifest.get(key) is not None), None)
    if value is None:
        return "not recorded"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)


def _write_head(manifest: Mapping, evaluation: Mapping | None) -> Html:
    facts = {name: _find_fact(manifest, name) for name in FACTS}
    facts["Date"] = facts["Date"].partition("T")[0]
    commit, dash, state = facts["Commit"].partition("-")
    facts["Commit"] = f"{commit[:12]}{dash}{state}"
    rows = (evaluation or {}).get("rows") or {}
    if rows:
        facts["Rows"] = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    pairs = [tag("div", tag("dt", name), tag("dd", text)) for name, text in facts.items()]
    title = tag("h1", "Synthetic data report")
    return tag("header", title, tag("dl", *pairs, class_="facts"))


def _write_limits(manifest: Mapping) -> Html:
    guarantee = manifest.get("differential_privacy")
    if guarantee:
        settings = ", ".join(
            f"{name} = {text}".removeprefix(" = ") for name, text in flatten(guarantee)
        )
        privacy = (
            f"Training used differential privacy, which bounds the risk from above: {settings}."
        )
    else:
        privacy = "No differential privacy was used, so nothing here bounds the risk from above."
    points = (
        "An attack that fails is not proof of safety: attacks give a lower bound on the risk. "
        "A better attacker may succeed where these did not.",
        f"Only differential privacy gives an upper bound. {privacy}",
        "The floor is the score of two real samples (training against test rows). A synthetic "
        "table as good as a second real sample reaches the floor; 100% is not to be expected.",
        "Fidelity compares columns one by one and in pairs. Relations among three or more columns "
        "are seen only by detection and utility.",
        "Averages hide small groups: rare diagnoses and minorities may fare worse than the table.",
        "The page shows aggregates (counts, shares, scores) and no record, real or synthetic.",
    )
    title = "What this report does and does not show"
    return _section("Limits", title, tag("ul", *(tag("li", item) for item in points)))


def _shortfall(column: Mapping) -> float:
    """How far a score lies below its floor, in points; skipped columns sort last."""
    score, floor = point(column.get("score")), point(column.get("floor"))
    return -np.inf if score is None else 100 * ((1.0 if floor is None else floor) - score)


def _write_fidelity(evaluation: Mapping | None, schema: Schema) -> Html:
    fidelity = (evaluation or {}).get("fidelity")
    title = "Fidelity: does the synthetic table look like the real one?"
    reason = why_absent(evaluation) or why_absent(fidelity)
    if reason:
        return _section("Fidelity", title, tag("p", reason, class_="note"))
    columns = fidelity.get("columns") or {}
    order = sorted(columns, key=lambda name: -_shortfall(columns[name]))
    floor = fidelity.get("floor") or {}
    rates = table(
        "Agreement in percent; higher is better. The rate is the mean of shape and trend.",
        ("", "Synthetic", "Floor (real against real)"),
        [
            (label, _fidelity_score(fidelity.get(key)), _fidelity_score(floor.get(key)))
            for key, label in (
                ("rate", "Rate"),
                ("shape", "Shape (each column)"),
                ("trend", "Trend (pairs of columns)"),
            )
        ],
    )
    shapes = table(
        "Each column's agreement with the training rows, largest shortfall first. "
        "Higher is better; the shortfall is floor minus score, in points.",
        ("Column", "Measure", "Score", "Floor", "Shortfall"),
        [_shape_row(name, columns[name]) for name in order],
        text=2,
    )
    marginals = _write_marginals((evaluation or {}).get("marginals"), columns, order, schema)
    parts = (
        *(rates, tag("h3", "Columns"), shapes),
        *(marginals, tag("h3", "Pairs of columns"), _write_pairs(fidelity.get("pairs"))),
        _write_detection(evaluation.get("detection")),
    )
    return _section("Fidelity", title, *parts)


def _fidelity_score(value: object) -> str:
    text = number(value, 1)
    return f"{text}%" if point(value) is not None else text


def _shape_row(name: str, column: Mapping) -> tuple:
    reason = why_absent(column)
    if reason:
        return name, reason
    gap = number(_shortfall(column), 1)
    measure = DISTANCES.get(column.get("metric"), column.get("metric", ""))
    return name, measure, percent(column.get("score")), percent(column.get("floor")), gap


def _write_marginals(
    marginals: Mapping | None, columns: Mapping, order: Sequence[str], schema: Schema
) -> Html:
    head = tag("h3", "Distributions")
    reason = why_absent(marginals)
    if reason:
        return join((head, tag("p", reason, class_="note")))
    names = [*(name for name in order if name in marginals), *(set(marginals) - set(order))]
    kinds = {column.name: column.kind for column in schema.columns}
    drawn = names[:MAX_MARGINALS]
    note = f"In the order of the table above: {len(drawn)} of {len(names)} columns."
    figures = [
        _draw_marginal(name, marginals[name], columns.get(name) or {}, kinds.get(name))
        for name in drawn
    ]
    return join((head, tag("p", note), _write_key(), tag("div", *figures, class_="grid")))


def _write_key() -> Html:
    items = []
    for name, label in (
        ("train", "real, train"),
        ("test", "real, test"),
        ("synthetic", "synthetic"),
    ):
        style = plots.TABLES[name]
        dash = ' stroke-dasharray="2 2"' if style["linestyle"] == ":" else ""
        fill = style.get("markerfacecolor", style["color"])
        shape = (
            f'<path d="M22 1L27 6L22 11L17 6Z" fill="{fill}" stroke="{style["color"]}"/>'
            if style["marker"] == "D"
            else f'<circle cx="22" cy="6" r="4" fill="{fill}" stroke="{style["color"]}"/>'
        )
        line = f'<path d="M0 6H44" stroke="{style["color"]}" stroke-width="2"{dash}/>'
        drawing = Html(f'<svg viewBox="0 0 44 12" aria-hidden="true">{line}{shape}</svg>')
        items.append(tag("li", drawing, label))
    return tag("ul", *items, class_="key")


def _draw_marginal(name: str, marginal: Mapping, column: Mapping, kind: str | None) -> Html:
    reason = why_absent(marginal)
    if reason:
        return tag("figure", tag("figcaption", tag("b", name), reason))
    scores = f"score {percent(column.get('score'))}, floor {percent(column.get('floor'))}"
    labels = marginal.get("labels", ())
    if len(labels) > plots.MAX_LABELS:
        scores += f"; {plots.MAX_LABELS} most common of {len(labels)} values"
    source = plots.plot_marginal(marginal, dates=kind == "datetime")
    alt = f"Distribution of {name}: real training and test rows against synthetic rows; {scores}."
    return image(source, alt, join((tag("b", name), scores)))


def _write_pairs(pairs: Mapping | None) -> Html:
    reason = why_absent(pairs)
    if reason:
        return tag("p", reason, class_="note")
    names = list(pairs["columns"])
    gap = 100 * (np.array(pairs["score"], float) - np.array(pairs["floor"], float))
    np.fill_diagonal(gap, np.nan)
    both = np.where(np.isnan(gap), gap.T, gap)
    rows, columns = np.triu_indices(len(names), 1)
    order = [
        at for at in np.argsort(both[rows, columns]) if np.isfinite(both[rows[at], columns[at]])
    ]
    if not order:
        return tag("p", "Skipped: no pair of columns was scored.", class_="note")
    worst = table(
        "The pairs that fall furthest below the floor, in points.",
        ("First column", "Second column", "Score minus floor"),
        [
            (names[rows[at]], names[columns[at]], number(both[rows[at], columns[at]], 1, sign=True))
            for at in order[:5]
        ],
        text=2,
    )
    if len(names) > MAX_PAIR_COLUMNS:
        note = f"No heatmap: {len(names)} columns are more than {MAX_PAIR_COLUMNS}."
        return join((tag("p", note, class_="note"), worst))
    caption = (
        "Score minus floor of each pair, in points. White: as good as a second real sample; "
        "orange: the relation is weaker or distorted; grey: not scored."
    )
    alt = f"Heatmap of pair scores minus floor for {len(names)} columns; worst pairs in the table."
    return join((image(plots.plot_pair_gap(names, both), alt, caption), worst))


def _write_detection(detection: Mapping | None) -> Html:
    head = tag("h3", "Detection: all columns at once")
    if why_absent(detection):
        return join((head, tag("p", why_absent(detection), class_="note")))
    caption = (
        f"How well a classifier ({detection.get('model', 'model not given')}) tells the rows from "
        "real test rows. Lower is better: 0.5 cannot be told apart, 1 always can."
    )
    rows = [
        (label, number(detection.get(key)))
        for key, label in (("auc", "Synthetic rows"), ("floor", "Floor (real training rows)"))
    ]
    return join((head, table(caption, ("", f"AUC ({INTERVALS})"), rows)))


def _write_utility(evaluation: Mapping | None) -> Html:
    utility = (evaluation or {}).get("utility")
    title = "Utility: can it train a model for real patients?"
    reason = why_absent(evaluation) or why_absent(utility)
    if reason:
        return _section("Utility", title, tag("p", reason, class_="note"))
    models = dict(utility.get("models") or {})
    if utility.get("mean"):
        models["Mean"] = utility["mean"]
    scored = [model for model in models.values() if not why_absent(model)]
    metrics = [key for key in METRICS if any(key in (model.get("trtr") or {}) for model in scored)]
    gaps = [
        key for key in metrics if any(key in (model.get("gap_points") or {}) for model in scored)
    ]
    header = ["Model"]
    for key in metrics:
        header += [f"{METRICS[key]}, real", f"{METRICS[key]}, synthetic"]
        header += [f"{METRICS[key]} gap, points"] if key in gaps else []
    rows = [_utility_row(spaced(name), model, metrics, gaps) for name, model in models.items()]
    caption = (
        f"Predicting {utility.get('target', 'the target')} ({utility.get('task', 'task not given')}"
        "). Each model is trained once on real rows (TRTR) and once on synthetic rows (TSTR); "
        "both are tested on the same real rows that neither the models nor the generator saw. "
        "The gap is real minus synthetic: smaller is better."
    )
    return _section("Utility", title, table(caption, header, rows))


def _utility_row(name: str, model: Mapping, metrics: list[str], gaps: list[str]) -> list:
    if why_absent(model):
        return [name, why_absent(model)]
    row = [name]
    for key in metrics:
        row += [number((model.get(source) or {}).get(key)) for source in ("trtr", "tstr")]
        if key in gaps:
            row.append(number((model.get("gap_points") or {}).get(key), 1, sign=True))
    return row


def _attack_row(name: object, attack: Mapping | None, *middle: object) -> tuple:
    if why_absent(attack):
        return name, *middle, why_absent(attack)
    cells = (number(attack.get("auc")), percent(attack.get("tpr_at_1pct_fpr")))
    return name, *middle, *cells, p_value(attack.get("p_value"))


def _write_privacy(audit: Mapping | None) -> Html:
    title = "Privacy: can an attacker tell who was in the training data?"
    if why_absent(audit):
        return _section("Privacy", title, tag("p", why_absent(audit), class_="note"))
    unit = audit.get("unit", "row")
    sizes = [
        f"{audit[key]:,} {label}"
        for key, label in (
            ("members", f"members (in training, one per {unit})"),
            ("nonmembers", "non-members (held out)"),
            ("reference_rows", "reference rows that the attacker holds"),
            ("synthetic_rows", "synthetic rows"),
        )
        if audit.get(key) is not None
    ]
    reasons = tag("ul", *(tag("li", reason) for reason in audit.get("reasons") or ()))
    verdict = audit.get("verdict", "no verdict")
    note = tag(
        "p", "Verdict: ", tag("strong", verdict), class_=f"note {VERDICTS.get(verdict, 'warn')}"
    )
    sensitivity = ""
    if point(audit.get("minimum_detectable_tpr")) is not None:
        share = percent(audit["minimum_detectable_tpr"])
        sensitivity = (
            f"A leak would probably be found if it exposed at least {share} of the members; "
        )
        sensitivity = tag(
            "p", f"{sensitivity}a smaller one could be missed by an audit of this size."
        )
    parts = (
        *(note, reasons, tag("p", f"The test: {'; '.join(sizes)}.")),
        *(sensitivity, _write_attacks(audit), _write_controls(audit)),
        *(_write_roc(audit), _write_copies(audit.get("copies"), unit)),
    )
    return _section("Privacy", title, *parts)


def _write_attacks(audit: Mapping) -> Html:
    caption = (
        "Lower is better. AUC: chance that a member outscores a non-member; 0.5 is a coin toss. "
        "TPR at 1% FPR: share of members found when 1% of non-members are wrongly named; 1% is "
        "chance. Ranges are 95% intervals."
    )
    header = ("Attack", "AUC", "TPR at 1% FPR", "p")
    rows = [
        _attack_row(spaced(name), attack) for name, attack in by_auc(audit.get("attacks") or {})
    ]
    return join((tag("h3", "Attacks, strongest first"), table(caption, header, rows)))


def _write_controls(audit: Mapping) -> Html:
    controls = audit.get("controls") or {}
    rows = []
    for name in [*CONTROLS, *(set(controls) - set(CONTROLS))]:
        control, expected = controls.get(name), CONTROLS.get(name, "")
        share = (control or {}).get("planted_share")
        if share is not None:
            expected += f" ({percent(share)} of the table)"
        rows.append(_attack_row(name, control, expected))
    caption = (
        "The audit tested on cases with a known answer. A control that fails voids the verdict."
    )
    header = ("Control", "What it should show", "AUC", "TPR at 1% FPR", "p")
    return join((tag("h3", "Controls"), table(caption, header, rows, text=2)))


def _write_roc(audit: Mapping) -> Html:
    def with_curve(results: Mapping) -> dict:
        curves = {spaced(name): (result or {}).get("roc") for name, result in by_auc(results)}
        return {name: roc for name, roc in curves.items() if roc and roc.get("fpr")}

    head = tag("h3", "Operating curves")
    attacks, controls = (
        with_curve(audit.get("attacks") or {}),
        with_curve(audit.get("controls") or {}),
    )
    if not attacks and not controls:
        return join((head, tag("p", "Skipped: no attack gave a curve.", class_="note")))
    sizes = {key: audit.get(key) or 1000 for key in ("members", "nonmembers")}
    caption = (
        "Members found against non-members wrongly named, both axes logarithmic: the left end is "
        "where an attacker is sure of a few. A curve along the grey band is no better than chance."
    )
    alt = "ROC curves of the attacks and controls on log-log axes with the chance line."
    return join((head, image(plots.plot_roc(attacks, controls, **sizes), alt, caption)))


def _write_copies(copies: Mapping | None, unit: str) -> Html:
    head = tag("h3", "Copies")
    if why_absent(copies):
        return join((head, tag("p", why_absent(copies), class_="note")))
    closer = "Synthetic rows closer to a training row than to a held-out row (chance: 50%)"
    rows = [
        ("Synthetic rows equal to a training row", percent(copies.get("train_share"), 2)),
        ("Synthetic rows equal to a held-out row", percent(copies.get("holdout_share"), 2)),
        ("p (more copies of training than of held-out rows)", p_value(copies.get("p_value"))),
        (closer, percent(copies.get("closer_to_train_share"))),
    ]
    caption = (
        "Chance alone makes some rows equal, so the held-out share is the yardstick. This finds "
        "plain copying only; the attacks above are the evidence."
    )
    return join((head, table(caption, ("", "Result"), rows)))


def _write_training(training: Sequence[Mapping] | None) -> Html:
    title = "Training"
    if why_absent(training or None):
        return _section("Training", title, tag("p", why_absent(None), class_="note"))
    last = training[-1]
    losses = [name for name in plots.LOSSES if point(last.get(name)) is not None]
    final = ", ".join(f"{name} {number(last[name])}" for name in losses)
    caption = f"Training loss by step; lower is better. At step {last['step']:,}: {final}."
    alt = f"Line chart of the training loss up to step {last['step']:,}: {final}."
    return _section("Training", title, image(plots.plot_training(training), alt, caption))


def _describe_values(column: Column) -> str:
    """Vocabulary size and bounds; bounds that are not public may be someone's value."""
    parts = [f"{len(column.categories)} categories"] if column.categories else []
    bounded = None not in (column.lower, column.upper)
    if bounded and column.public:
        parts.append(f"{column.lower:g} to {column.upper:g}")
    elif bounded:
        parts.append("bounds set")
    return ", ".join([*parts, *(["public"] if column.public else [])])


def _write_provenance(manifest: Mapping, schema: Schema) -> Html:
    settings = [(tag("code", key), text) for key, text in flatten(manifest) if key]
    roles = {schema.entity: "patient", schema.target: "target"}
    rows = []
    for column in schema.columns:
        role = [roles.get(column.name), "sensitive" if column.name in schema.sensitive else None]
        role = ", ".join(filter(None, role))
        rows.append((column.name, column.kind, column.dtype, role, _describe_values(column)))
    header = ("Column", "Kind", "Type", "Role", "Values")
    parts = (
        tag("h3", "Run"),
        table(
            "What is needed to repeat this run.",
            ("Setting", "Value"),
            settings,
            text=2,
            compact=True,
        )
        if settings
        else tag("p", "No manifest was recorded.", class_="note"),
        tag("h3", "Schema"),
        table(f"{len(schema.columns)} columns.", header, rows, text=5, compact=True),
    )
    return _section("Provenance", "Provenance", *parts)
