"""Which rows a run's model draws: seed, conditions, guidance or balance, by flags."""

from collections.abc import Callable

import pandas as pd
from _balanced import plan_balanced
from _common import FLAGS
from absl import flags

from synthdiff._validate import input_error
from synthdiff.synthesizer import Synthesizer


def define_flags() -> None:
    flags.DEFINE_integer("sample_seed", 0, "seed of the synthetic table")
    flags.DEFINE_list("where", [], "conditions such as female=1,site=3")
    flags.DEFINE_string(
        "balance", None, "column, column:level=share,... or column*second, drawn with exact shares"
    )
    flags.DEFINE_float("guidance", 0.0, "classifier-free guidance weight for --where")


def parse_where(conditions: list[str], schema) -> dict:
    """{"column": value} with each value of the column's own type."""
    where = {}
    for item in conditions:
        name, equals, text = item.partition("=")
        if not equals:
            raise input_error(f"--where={item}", "is not name=value", "write for example female=1")
        dtype = schema[name].dtype.lower()
        try:
            where[name] = float(text) if "float" in dtype or "int" in dtype else text
        except ValueError as error:
            raise input_error(f"--where={item}", "is not a number", "give a number") from error
        if "bool" in dtype:
            where[name] = text.lower() in ("1", "true", "yes")
        if "int" in dtype:
            where[name] = int(where[name])
    return where


def count_default(model: Synthesizer, learnt: Callable[[], int]) -> int:
    """Records to draw where nobody says how many: as many as were learnt from.

    Of a private run how many those are is secret. It learns at most so many of each patient as its
    config says, and both numbers are public: their product, where a patient may have several.
    """
    if not model.privacy:
        return learnt()
    several = model.codec.schema.entity and not model.visits
    most = model.config.dp.max_rows_per_patient if several else 1
    return model.privacy["public"]["patients"] * most


def plan_draw(model: Synthesizer, num_rows: int, train_rows: int) -> Callable:
    """`draw(first, count)`: these records of the table that the flags describe."""
    where, seed = parse_where(FLAGS.where, model.codec.schema), FLAGS.sample_seed
    if FLAGS.balance and (where or FLAGS.guidance):
        raise input_error("--balance", "excludes --where and --guidance", "use one of them")
    if not FLAGS.balance:
        options = {"where": where, "guidance": FLAGS.guidance, "seed": seed}
        return lambda first, count: model.sample(count, first=first, **options)
    plan = plan_balanced(model, FLAGS.balance, num_rows, train_rows, seed)

    def draw(first: int, count: int) -> pd.DataFrame:
        given = plan.iloc[first : first + count].reset_index(drop=True)
        return model.impute(given, first=first, seed=seed)

    return draw
