"""The model as a scikit-learn estimator: fit, sample and score, for search and cross-validation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from synthdiff.config import Config
from synthdiff.data.schema import Schema
from synthdiff.scoring import average_records, measure_loss
from synthdiff.synthesizer import fit


class TableDiffusion(BaseEstimator):
    """A density estimator of tables, as scikit-learn has them (compare its KernelDensity).

    schema: inferred where absent; one with an entity makes the patient the unit of privacy.
    config: settings of network, noise, training and sampling. seed: of training; None takes that
    of the config. num_noises: noises per row of `score`; more make it less noisy. max_visits: as of
    `fit`, where the schema has an order of visits.

    Split by patient: `cross_val_score(model, df, cv=GroupKFold(5), groups=df["patient"])`.
    """

    def __init__(
        self,
        schema: Schema | None = None,
        config: Config | None = None,
        seed: int | None = None,
        num_noises: int = 4,
        max_visits: int | None = None,
    ) -> None:
        self.schema = schema
        self.config = config
        self.seed = seed
        self.num_noises = num_noises
        self.max_visits = max_visits

    def fit(self, X: pd.DataFrame, y: object = None) -> TableDiffusion:
        """Trains on the rows of a table; y is ignored, a target is a column like others."""
        self.model_ = fit(
            X,
            self.schema,
            config=self.config,
            seed=self.seed,
            max_visits=self.max_visits,
            progress=False,
        )
        return self

    def sample(self, n_samples: int = 1, seed: int = 0) -> pd.DataFrame:
        """Synthetic records with the columns and dtypes of the fitted table.

        Where rows are visits, a record is a patient with all visits.
        """
        check_is_fitted(self)
        return self.model_.sample(n_samples, seed=seed)

    def score_samples(self, X: pd.DataFrame) -> np.ndarray:
        """Minus the training objective of each row [rows], in nats; see `measure_loss`."""
        check_is_fitted(self)
        return -measure_loss(self.model_, X, num_noises=self.num_noises)

    def score(self, X: pd.DataFrame, y: object = None) -> float:
        """The mean of `score_samples` over records: higher is better.

        Compare models of the same training rows only: each codec cuts numbers its own way.
        """
        return average_records(self.model_, X, self.score_samples(X))
