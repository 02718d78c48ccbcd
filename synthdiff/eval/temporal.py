"""Whether the visits of a synthetic patient follow one another as those of a real one do.

Each distance is to the training table, and its floor is that of the test table. Twenty random
splits of the real patients into two such tables say how far it strays by chance: its limit is so
many standard deviations above their mean as no distance of any split lies, so that about one second
real sample in 21 has any check beyond its limit (Westfall and Young's maximum over checks).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import stats

from synthdiff._validate import InputError
from synthdiff.data.schema import Column, Schema
from synthdiff.data.visit_plan import plan_visits
from synthdiff.data.visits import VisitPlan, visit_numbers, widen
from synthdiff.eval.detection import compare_detection
from synthdiff.eval.features import numeric_values
from synthdiff.eval.marginals import summarise_marginals
from synthdiff.eval.visit_measures import Measure, fit_measure

SPLITS = 20
_MAX_PATIENTS = 10_000
_MIN_PATIENTS = 20  # with two visits, in each table
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _Visits:
    """Rows in order of visit: their patient, visit and gap, and each column as its measure sees it.

    owner: the entity of each row. cells: {column: [rows, ...]}.
    """

    group: np.ndarray
    slot: np.ndarray
    gap: np.ndarray
    owner: np.ndarray
    cells: dict[str, np.ndarray]

    @classmethod
    def of(cls, df: pd.DataFrame, measures: Mapping[str, Measure]) -> _Visits:
        """df: as `visit_numbers` gives it."""
        names = ("group", "slot", "gap", "owner")
        index = {name: df.index.get_level_values(name).to_numpy() for name in names}
        return cls(**index, cells={name: m.encode(df[name]) for name, m in measures.items()})

    def take(self, rows: np.ndarray) -> _Visits:
        """The rows of some patients only; all rows of a patient or none."""
        cells = {name: values[rows] for name, values in self.cells.items()}
        return _Visits(self.group[rows], self.slot[rows], self.gap[rows], self.owner[rows], cells)

    def join(self, other: _Visits) -> _Visits:
        """Both tables; patients of the other get numbers of their own."""
        shifts = (self.group.max() + 1, self.owner.max() + 1)
        return _Visits(
            np.append(self.group, other.group + shifts[0]),
            np.append(self.slot, other.slot),
            np.append(self.gap, other.gap),
            np.append(self.owner, other.owner + shifts[1]),
            {name: np.concatenate([self.cells[name], other.cells[name]]) for name in self.cells},
        )

    @cached_property
    def after(self) -> np.ndarray:
        """Rows with a visit before them, which is the row before."""
        return np.flatnonzero(self.slot > 0)

    @cached_property
    def counts(self) -> np.ndarray:
        """Visits of each patient."""
        return np.unique(self.group, return_counts=True)[1]


def evaluate_temporal(
    train: pd.DataFrame, test: pd.DataFrame, synthetic: pd.DataFrame, schema: Schema, seed: int = 0
) -> dict:
    """Visits per patient, gaps, constancy, what follows what, and detection of whole patients.

    Per column: lag is the distance of transition matrices, or the difference of autocorrelations;
    by_visit the distance at the first visit, the second and so on, averaged. At most 10,000
    entities of each table are looked at. {"skipped": reason} where rows are no visits.
    """
    if schema.order is None:
        return {"skipped": "the schema names no order of visits"}
    rng = np.random.default_rng([seed, 6])
    tables = {"train": train, "test": test, "synthetic": synthetic}
    try:
        plan = plan_visits(train, schema)
        tables = {part: _cut_patients(df, schema, rng) for part, df in tables.items()}
        numbered = {part: visit_numbers(df, schema) for part, df in tables.items()}
    except (InputError, KeyError) as error:
        return {"skipped": str(error)}
    owners = numbered["train"].index.get_level_values("owner").to_numpy()
    moving = [schema[name] for name in (*plan.varying, *plan.clocks)]
    measures = {c.name: fit_measure(numbered["train"][c.name], c, owners) for c in moving}
    visits = {part: _Visits.of(df, measures) for part, df in numbered.items()}
    paired = {part: int((found.counts > 1).sum()) for part, found in visits.items()}
    few = [part for part, count in paired.items() if count < _MIN_PATIENTS]
    reason = f"fewer than {_MIN_PATIENTS} {few[0]} patients have two visits" if few else None
    distances = _compare_all(visits, measures, rng, reason)
    result = {
        "patients": {part: len(found.counts) for part, found in visits.items()},
        "with_two_visits": paired,
        "mean_visits": {part: float(found.counts.mean()) for part, found in visits.items()},
        "distances": distances,
        "constancy": {"skipped": reason} if reason else _measure_constancy(numbered, plan),
        "columns": {"skipped": reason} if reason else _persistence(visits, measures),
        "marginals": _summarise(numbered, schema),
        "detection": _detect(tables, plan, seed),
    }
    return result | {"flags": _list_flags(result)}


def _cut_patients(df: pd.DataFrame, schema: Schema, rng: np.random.Generator) -> pd.DataFrame:
    ids = df[schema.entity].unique()
    if len(ids) <= _MAX_PATIENTS:
        return df
    return df[df[schema.entity].isin(rng.choice(ids, _MAX_PATIENTS, replace=False))]


def _describe(visits: _Visits, measures: Mapping[str, Measure], length: int) -> dict:
    """All that distances are taken of. length: visits that are told apart."""
    found = {"visits": np.bincount(visits.counts), "gaps": np.sort(visits.gap[visits.after])}
    early = visits.slot < length
    for name, measure in measures.items():
        cells = visits.cells[name]
        found[f"lag {name}"] = measure.lag(cells, visits.after - 1, visits.after)
        found[f"by_visit {name}"] = measure.by_visit(cells[early], visits.slot[early], length)
    return found | {"weights": np.bincount(visits.slot[early], minlength=length)}


def _compare(real: dict, other: dict, measures: Mapping[str, Measure], pairs: bool) -> dict:
    """{check: distance} of two descriptions; pairs: whether both have consecutive visits."""
    longest = max(len(real["visits"]), len(other["visits"]))
    shares = [np.pad(d["visits"], (0, longest - len(d["visits"]))) for d in (real, other)]
    shares = [counts / counts.sum() for counts in shares]
    found = {"visits": float(np.abs(shares[0] - shares[1]).sum() / 2)}
    if not pairs:
        return found
    found["gaps"] = float(stats.ks_2samp(real["gaps"], other["gaps"], method="asymp").statistic)
    weights = real["weights"] * (other["weights"] > 0)
    for name, measure in measures.items():
        lag, by_visit = f"lag {name}", f"by_visit {name}"
        found[lag] = measure.compare_lag(real[lag], other[lag])
        apart = measure.compare_visits(real[by_visit], other[by_visit])
        found[by_visit] = float(weights @ apart / weights.sum())
    return found


def _compare_all(
    visits: Mapping[str, _Visits],
    measures: Mapping[str, Measure],
    rng: np.random.Generator,
    reason: str | None,
) -> dict:
    """{check: {"synthetic", "floor", "limit"}}, or why those on pairs of visits are missing."""
    length = int(np.quantile(visits["train"].counts, 0.95, method="higher"))
    described = {part: _describe(found, measures, length) for part, found in visits.items()}
    real = described["train"]
    synthetic = _compare(real, described["synthetic"], measures, not reason)
    floor = _compare(real, described["test"], measures, not reason)
    pooled = visits["train"].join(visits["test"])
    owners = np.unique(pooled.owner)
    size = min(len(np.unique(visits[part].owner)) for part in ("test", "synthetic"))
    splits = []
    for _ in range(SPLITS):
        apart = np.isin(pooled.owner, rng.choice(owners, size, replace=False))
        tables = (pooled.take(np.flatnonzero(side)) for side in (~apart, apart))
        rest, part = (_describe(table, measures, length) for table in tables)
        splits.append(list(_compare(rest, part, measures, not reason).values()))
    limits = dict(zip(floor, _find_limits(np.array(splits)).tolist(), strict=True))
    found = {
        name: {"synthetic": synthetic[name], "floor": floor[name], "limit": limits[name]}
        for name in floor
    }
    return found | ({"gaps": {"skipped": reason}, "columns": {"skipped": reason}} if reason else {})


def _find_limits(splits: np.ndarray) -> np.ndarray:
    """The limit of each check from its distances in real splits [splits, checks].

    Each split is measured by the mean and deviation of the others, as a synthetic table is by all.
    """
    count, tiny = len(splits), 1e-4
    rest = (splits.sum(axis=0) - splits) / (count - 1)
    squares = ((splits**2).sum(axis=0) - splits**2) / (count - 1) - rest**2
    deviations = (splits - rest) / (np.sqrt(np.maximum(squares, 0)) + tiny)
    return splits.mean(axis=0) + deviations.max() * (splits.std(axis=0) + tiny)


def _persistence(visits: Mapping[str, _Visits], measures: Mapping[str, Measure]) -> dict:
    """Of each column, how much a visit resembles the one before: {"kind", part: value}."""
    return {
        name: {"kind": measure.kind}
        | {
            part: measure.persistence(measure.lag(v.cells[name], v.after - 1, v.after))
            for part, v in visits.items()
        }
        for name, measure in measures.items()
    }


def _measure_constancy(numbered: Mapping[str, pd.DataFrame], plan: VisitPlan) -> dict:
    """Share of patients with two visits in whom a column is as constant as real patients have it.

    A column that advances with time must do so at the real rate.
    """
    result: dict[str, dict] = {}
    for name in (*plan.static, *plan.clocks):
        column = plan.schema[name]
        result[name] = {}
        for part, df in numbered.items():
            group = df.index.get_level_values("group")
            if name in plan.clocks:
                values = numeric_values(df[name], column)
                passed = df.index.get_level_values("gap").to_numpy() * plan.clocks[name]
                off = np.diff(values, prepend=np.nan) - passed
                slack = _TOLERANCE * np.maximum(np.abs(values), 1)
                broken = pd.Series(np.abs(off) > slack).groupby(group).any()
            else:
                broken = df[name].reset_index(drop=True).groupby(group).nunique() > 1
            several = np.bincount(group) > 1
            result[name][part] = float(1 - broken[several].mean())
    return result


def _summarise(numbered: Mapping[str, pd.DataFrame], schema: Schema) -> dict:
    """Histograms of visits per patient and of gaps, without counts of fewer than 5 patients."""
    people, gaps = {}, {}
    for part, df in numbered.items():
        index = df.index.to_frame(index=False)
        first = index[index["slot"] == 0]
        visits = index.groupby("group").size().to_numpy()
        people[part] = pd.DataFrame({"owner": first["owner"].to_numpy(), "visits": visits})
        gaps[part] = index[["owner", "gap"]]
    owner, kind = Column("owner", "entity"), schema[schema.order].kind
    kind = "continuous" if kind in ("continuous", "datetime") else "integer"
    counted = summarise_marginals(**people, schema=Schema((owner, Column("visits", "integer"))))
    return counted | summarise_marginals(**gaps, schema=Schema((owner, Column("gap", kind))))


def _detect(tables: Mapping[str, pd.DataFrame], plan: VisitPlan, seed: int) -> dict:
    """Detection of whole patients: the records are those of the wide table."""
    wide = {part: widen(df, plan) for part, df in tables.items()}
    found = compare_detection(**wide, schema=plan.wide, seed=seed)
    return found if "skipped" in found else found | {"visits": plan.max_visits}


def _list_flags(result: Mapping) -> list[str]:
    """The checks that real patients would hardly ever fail so badly."""
    flags = [
        name
        for name, check in result["distances"].items()
        if "skipped" not in check and check["synthetic"] > check["limit"]
    ]
    if "skipped" not in result["constancy"]:
        shares = result["constancy"].items()
        flags += [
            f"constancy {k}" for k, v in shares if v["synthetic"] < min(v["train"], v["test"])
        ]
    detection = result["detection"]
    if "skipped" not in detection and detection["auc"]["lower"] > detection["floor"]["upper"]:
        flags.append("detection")
    return flags
