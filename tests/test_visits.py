"""Visits in wide records and back: the same table, and what a drawn record may not do."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from synthdiff._validate import InputError
from synthdiff.config import Config
from synthdiff.data.codec import Codec
from synthdiff.data.conform import conform
from synthdiff.data.schema import Column, Schema
from synthdiff.data.sources import load
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import VisitPlan, count_cut, narrow, share_filled, widen
from synthdiff.models.config import ModelConfig
from synthdiff.synthesizer import Synthesizer

KINDS = ("integer", "datetime", "continuous", "ordinal")


def _schema(order="integer", group=False, **roles):
    levels = tuple("abcdefghij") if order == "ordinal" else ()
    dtype = {"integer": "int64", "datetime": "datetime64[us]", "continuous": "float64"}
    columns = (
        Column("patient", "entity", "str"),
        *([Column("person", "group", "int64")] if group else []),
        Column("when", order, dtype.get(order, "str"), levels),
        Column("sex", "categorical", "str"),
        Column("blood", "categorical", "str"),
        Column("dose", "continuous", "float64"),
        Column("stays", "integer", "int64"),
        Column("ward", "categorical", "str"),
        Column("seen", "datetime", "datetime64[us]"),
        Column("died", "boolean", "boolean"),
        Column("codes", "code_set", "str"),
    )
    return Schema(columns, order="when", **roles)


def _times(rng, rows, kind):
    steps = rng.integers(0, 10, rows)  # few, so that there are ties
    if kind == "datetime":
        return pd.Timestamp("2101-03-04") + pd.to_timedelta(steps * 37, unit="min")
    if kind == "continuous":
        return steps / 4 - 1
    return np.array(list("abcdefghij"))[steps] if kind == "ordinal" else steps


def _table(rng, kind="integer", group=False, patients=15, most=5):
    """Patients in random order, one visit or more, with missing cells in every sort of column."""
    counts = rng.integers(1, most + 1, patients)
    counts[0], counts[1:8] = 1, most
    owner = rng.permutation(np.repeat(np.arange(patients), counts))
    rows = len(owner)
    missing = rng.random((rows, 3)) < 0.3
    whole = rng.random(patients) < 0.3
    table = pd.DataFrame(
        {
            "patient": [f"P{i // 2 if group else i}" for i in owner],
            "person": owner + 100,
            "when": _times(rng, rows, kind),
            "sex": rng.choice(["F", "M"], patients)[owner],
            "blood": np.where(missing[:, 0] | whole[owner], None, np.array(["A", "B"])[owner % 2]),
            "dose": np.where(missing[:, 1] | whole[owner], np.nan, rng.normal(size=rows)),
            "stays": rng.integers(0, 4, rows),
            "ward": _seldom_changed(rng, owner),
            "seen": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 99, rows), "D"),
            "died": pd.array(np.where(missing[:, 2], None, rng.random(rows) < 0.5), "boolean"),
            "codes": np.where(
                missing[:, 2], None, rng.choice(["", "I10", "E11;I10"], rows, p=[0.2, 0.4, 0.4])
            ),
        }
    )
    return conform(table, _schema(kind, group))


def _seldom_changed(rng, owner):
    """A level per patient that one visit in 8 replaces by another."""
    usual = rng.integers(0, 3, owner.max() + 1)[owner]
    return np.array(list("xyz"))[np.where(rng.random(len(owner)) < 1 / 8, 2 - usual, usual)]


def _sorted(df, schema):
    """The rows as `narrow` gives them: patients as they first appear, then by time, ties as are."""
    column = schema[schema.order]
    keys = pd.factorize(df[schema.group or schema.entity])[0]
    times = df[schema.order]
    if column.kind == "ordinal":
        times = times.map({level: place for place, level in enumerate(column.categories)})
    return df.iloc[np.lexsort((times.to_numpy(), keys))].reset_index(drop=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("group", [False, True])
def test_narrow_inverts_widen(kind, group):
    schema = _schema(kind, group)
    for seed in range(3):
        df = _table(np.random.default_rng(seed), kind, group)
        most = int(df.groupby(schema.group or schema.entity).size().max())
        plan = plan_visits(df, schema, max_visits=most, min_patients=1)
        assert {"sex", "blood"} == set(plan.static) and plan.patchy == ("blood",)
        assert plan.sticky == ("ward",)
        wide = widen(df, plan)
        assert len(wide) == df[schema.group or schema.entity].nunique()
        read = VisitPlan.from_json(json.loads(json.dumps(plan.to_json())))
        again, expected = conform(narrow(wide, read), schema), _sorted(df, schema)
        if group:  # ids are fresh, the groups the same
            pairs = pd.DataFrame({"old": expected.pop("person"), "new": again.pop("person")})
            assert len(pairs.drop_duplicates()) == len(wide) == pairs["new"].nunique()
            assert not set(pairs["new"]) & set(pairs["old"])
        pd.testing.assert_frame_equal(again, expected)


def test_rand_hie_years_come_back():
    df, schema = load("rand_hie_visits")
    df = conform(df, schema)
    plan = plan_visits(df, schema)
    assert plan.max_visits == 5 and plan.clocks == {"xage": 1.0}
    assert {"female", "income", "health"} < set(plan.static) and "mdvis" in plan.varying
    assert "num" in plan.sticky and "mdvis" not in plan.sticky
    wide = widen(df, plan)
    assert len(wide) == 5912 and wide["household"].nunique() == 2439
    again = conform(narrow(wide, plan), schema).drop(columns="person")
    pd.testing.assert_frame_equal(again, _sorted(df, schema).drop(columns="person"))


def test_a_piece_of_the_records_is_a_piece_of_the_long_table():
    """With ids of its own: those of a group count on from the first record."""
    schema = _schema(group=True)
    df = _table(np.random.default_rng(0), group=True, patients=40)
    plan = plan_visits(df, schema)
    wide = widen(df, plan)
    whole = narrow(wide, plan)
    pieces = [narrow(wide.iloc[at : at + 15], plan, at) for at in range(0, len(wide), 15)]
    joined = pd.concat(pieces, ignore_index=True)
    pd.testing.assert_frame_equal(conform(joined, schema), conform(whole, schema))


@pytest.mark.parametrize("group", [False, True])
def test_attacks_on_records_score_the_rows_of_each_patient(group, monkeypatch):
    """An attack that scores a record by its first visit: each row must bear that very number."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "experiments")
    import _whitebox as whitebox

    schema = _schema(group=group)
    sides = [_table(np.random.default_rng(seed), group=group, patients=40) for seed in (0, 1)]
    plan = plan_visits(sides[0], schema)
    codec = Codec.fit(widen(sides[0], plan), plan.wide)
    model = Synthesizer(codec, Config(ModelConfig("mlp")), {}, visits=plan)

    def read_first(denoiser, params, targets):
        return {"x": codec.decode(targets, np.random.default_rng(0))["stays@1"]}

    nothing = {"train_shadows": None, "take_model": None, "score_rows": {}, "check_on_shadows": {}}
    for name, found in nothing.items():
        monkeypatch.setattr(whitebox, name, lambda *args, found=found: dict(found or {}))
    monkeypatch.setattr(whitebox, "make_measure_losses", lambda *args, **kw: lambda *_: np.zeros(1))
    monkeypatch.setattr(whitebox, "measure_probes", read_first)
    scores, about = whitebox.attack_model(model, sides[0], whitebox.Sizes(4, 1, 1), *sides)
    expected = []
    for side in sides:
        who = side[schema.group or schema.entity]
        ordered = side.sort_values("when", kind="stable")
        expected.append(who.map(ordered.groupby(who)["stays"].first()))
    np.testing.assert_array_equal(scores["x"], pd.concat(expected))
    assert about["shadow_patients"] == sides[0]["patient"].nunique() and len(set(scores["x"])) > 2


def test_later_visits_are_cut_and_counted():
    schema = _schema()
    df = _table(np.random.default_rng(1), patients=60, most=4)
    plan = plan_visits(df, schema, max_visits=2)
    long = narrow(widen(df, plan), plan)
    counts = df.groupby("patient").size()
    assert (long.groupby("patient").size() == counts.clip(upper=2)).all()
    lost = counts[counts > 2] - 2
    assert count_cut(df, plan) == {"patients": 60, "cut": len(lost), "visits": lost.sum()}
    first = _sorted(df, schema).groupby("patient", sort=False).head(2).reset_index(drop=True)
    pd.testing.assert_series_equal(conform(long, schema)["stays"], first["stays"])


def _wide(plan, rows, seed=0):
    """Random records of the wide columns, as an untrained model might draw them."""
    rng = np.random.default_rng(seed)
    columns = {}
    for column in plan.wide.columns:
        gone = rng.random(rows) < 0.4
        if column.kind == "entity":
            values = [f"synthetic-{i}" for i in range(rows)]
        elif column.name in ("num_visits", "when", "sex"):
            levels = column.categories or (("F", "M") if column.name == "sex" else range(10))
            values = rng.choice(list(levels), rows)
        elif column.name.startswith("when gap"):
            values = rng.integers(0, 4, rows)
        elif column.kind == "datetime":
            values = np.where(gone, None, pd.Timestamp("2020-01-01"))
        elif column.kind == "boolean":
            values = pd.array(np.where(gone, None, rng.random(rows) < 0.5), "boolean")
        elif column.is_numeric:
            values = np.where(gone, np.nan, rng.integers(0, 9, rows))
        else:
            values = np.where(gone, None, rng.choice(["A", "B"], rows))
        columns[column.name] = values
    return pd.DataFrame(columns)


@pytest.mark.parametrize("kind", ["integer", "ordinal"])
def test_drawn_records_are_made_consistent(kind):
    schema = _schema(kind)
    df = _table(np.random.default_rng(0), kind, patients=80)
    plan = plan_visits(df, schema)
    wide = _wide(plan, 200)
    long = conform(narrow(wide, plan), schema)
    assert plan.sticky == ("ward",)
    second = (wide["num_visits"] > 1) & wide["ward@1"].notna() & wide["ward@2"].isna()
    ward = [long["ward"][long["patient"] == wide["patient"][row]] for row in wide.index[second]]
    assert len(ward) > 20 and all(x.iloc[0] == x.iloc[1] for x in ward), "nothing said: no change"
    by_patient = long.groupby("patient", sort=False)
    assert (by_patient.size().to_numpy() == wide["num_visits"]).all()
    assert (by_patient["sex"].nunique(dropna=False) == 1).all()
    assert (by_patient["blood"].nunique() <= 1).all() and long["blood"].isna().any()
    times = long["when"]
    if kind == "ordinal":
        times = times.map({level: place for place, level in enumerate(schema["when"].categories)})
    assert (times.groupby(long["patient"]).diff().dropna() >= 0).all()
    assert "stays" in plan.complete and "dose" not in plan.complete
    whole = by_patient["stays"].apply(lambda x: x.isna().all() or x.notna().all())
    assert share_filled(wide, plan) == pytest.approx(0.4, abs=0.05)
    assert share_filled(widen(df, plan), plan) == 0
    assert whole.all(), "only a patient with no value at all stays without"
    assert long["dose"].isna().mean() > 0.3, "what real visits lack is not filled"


def test_times_that_run_over_the_end_begin_earlier():
    schema = _schema("ordinal")
    plan = plan_visits(_table(np.random.default_rng(0), "ordinal", patients=80), schema)
    wide = _wide(plan, 1).assign(num_visits=3, when="i", **{"when gap@2": 2, "when gap@3": 1})
    assert narrow(wide, plan)["when"].tolist() == ["g", "i", "j"]


def test_no_single_person_decides_the_plan():
    """One patient who changes sex, or has 9 visits, leaves no trace; five do."""
    schema = _schema()
    df = _table(np.random.default_rng(3), patients=40, most=3)
    usual = plan_visits(df, schema)
    base = df[df["patient"] == df["patient"].iloc[0]].head(1)
    for few, same in ((1, True), (5, False)):
        more = [
            pd.concat([base] * 9).assign(patient=f"new{i}", when=range(9), sex=["F", "M", "M"] * 3)
            for i in range(few)
        ]
        plan = plan_visits(pd.concat([df, *more], ignore_index=True), schema, max_visits=3)
        assert ("sex" in plan.static) == same
        assert (plan.static == usual.static) == same
    with pytest.raises(InputError, match="fewer than 5 patients have 9 visits"):
        plan_visits(pd.concat([df, more[0]], ignore_index=True), schema, max_visits=9)


def test_visits_that_too_few_patients_have_are_left_out_of_the_record():
    """A lab that three patients have at their third visit cannot be learnt; all else is kept."""
    rng = np.random.default_rng(0)
    ids = np.repeat([f"P{i}" for i in range(60)], 3)
    slot = np.tile([0, 1, 2], 60)
    lab = np.where((slot < 2) | (np.arange(180) < 9), rng.normal(size=180), np.nan)
    df = pd.DataFrame({"patient": ids, "day": slot, "lab": lab, "x": rng.normal(size=180)})
    schema = Schema(
        (Column("patient", "entity"), Column("day", "integer", "int64"),
         Column("lab", "continuous", "float64"), Column("x", "continuous", "float64")),
        order="day",
    )  # fmt: skip
    plan = plan_visits(df, schema)
    assert "lab@2" in plan.wide.names and "lab@3" not in plan.wide.names
    wide = widen(df, plan)
    Codec.fit(wide, plan.wide)  # would raise on lab@3
    long = narrow(wide, plan)
    assert long["lab"].isna().sum() == 60 and long["x"].notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"when": np.nan}, "missing at row"),
        ({"patient": None}, "missing at row"),
        ({"person": 7}, "belongs to two entities"),
    ],
)
def test_mistakes_are_named(change, message):
    schema = _schema("continuous", group=True)
    df = _table(np.random.default_rng(0), "continuous", group=True).assign(**change)
    with pytest.raises(InputError, match=message):
        plan_visits(df, schema, min_patients=1)


def test_rows_without_an_order_and_lone_visits_are_refused():
    df = _table(np.random.default_rng(0), most=1)
    with pytest.raises(InputError, match="too few patients have two visits"):
        plan_visits(df, _schema())
    with pytest.raises(InputError, match="names no order"):
        plan_visits(df, Schema(_schema().columns))
    with pytest.raises(InputError, match="has no order"):
        Schema(_schema().columns, order="sex")
    with pytest.raises(InputError, match="visits without an entity"):
        Schema(_schema().columns[1:], order="when")
