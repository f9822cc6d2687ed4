"""A transformer fine-tuned for classification, as a scikit-learn classifier over the text fields of a frame.

Weights come from a folder or a hub, safetensors only, and never bring code. What was learned is held as safetensors bytes, the
configuration as JSON and the tokenizer as its own JSON: a skops file of them holds no code either, and everything that reads a
scikit-learn model reads this one. torch and transformers load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin

from samovar.encoders import network, tuning
from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


class FineTunedClassifier(ClassifierMixin, BaseEstimator):
    """Reads the texts of a row, one after the other, and gives the probabilities of its classes.

    Args:
        fields: the text columns, in the order in which they are read. Other columns are not.
        weights: folder or hub name of an encoder (DistilBERT, BERT, RoBERTa or ELECTRA).
        epochs: most passes over the rows.
        patience: passes without a smaller loss on a tenth of the rows, kept aside, after which it stops and goes back to the best
            pass; 0 learns from all rows for all ``epochs``.
        class_weight: ``balanced`` weighs each class by the inverse of its share, None each row alike.
        max_tokens: what a row has beyond them is not read.
        learning_rate: peak of the schedule: linearly up for a tenth of the steps, then linearly down to 0.
        batch_size: rows of one step, of about the same length.
        seed: of everything random.
        threads: of torch while it learns. More are faster, and then the weights repeat only up to rounding: sums of several
            threads come in any order.

    Attributes:
        classes_: array (k,), in order.
        state_: the network's weights, safetensors.
        config_: the network's configuration, JSON.
        tokenizer_: the tokenizer, JSON of the library tokenizers.
        losses_: loss on the rows kept aside after each pass; on the rows learned from when none are.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn's way: every choice is an argument
        self,
        fields: Sequence[str] = (),
        weights: str = network.DEFAULT,
        *,
        epochs: int = 3,
        patience: int = 1,
        class_weight: str | None = None,
        max_tokens: int = 128,
        learning_rate: float = 5e-5,
        batch_size: int = 16,
        seed: int = 0,
        threads: int = 1,
    ) -> None:
        self.fields = fields
        self.weights = weights
        self.epochs = epochs
        self.patience = patience
        self.class_weight = class_weight
        self.max_tokens = max_tokens
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.seed = seed
        self.threads = threads

    def fit(self, rows: pd.DataFrame, labels: Sequence[Any]) -> Self:
        """Fine-tune; the same rows, parameters and machine give the same weights (see ``threads``).

        Raises:
            ModelError: torch, transformers or the weights are not there, or the weights are of a kind that is not read.
        """
        self.classes_, targets = np.unique(np.asarray(labels), return_inverse=True)
        plan = tuning.Plan(
            self.epochs, self.patience, self.class_weight == "balanced", self.learning_rate, self.batch_size, self.seed
        )
        with network.repeatable(self.seed, self.threads):
            tuned, self.tokenizer_ = network.pretrained(self.weights, len(self.classes_))
            tokens = network.tokens(self._texts(rows), self.tokenizer_, self._longest())
            self.losses_ = tuning.tune(tuned, tokens, targets, plan)
        self.state_, self.config_ = network.dump(tuned)
        self.n_features_in_ = len(self.fields)
        self._network = tuned
        return self

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Probabilities, shape (n, k); raises ModelError when torch or transformers is missing, or the state is damaged."""
        if not hasattr(self, "_network"):
            self._network = network.restored(self.state_, self.config_)
        return network.probabilities(self._network, network.tokens(self._texts(rows), self.tokenizer_, self._longest()))

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """The most probable class of each row."""
        return np.asarray(self.classes_[self.predict_proba(rows).argmax(axis=1)])

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open network out: ``state_`` is what it is made from."""
        return {name: value for name, value in super().__getstate__().items() if name != "_network"}

    def _texts(self, rows: pd.DataFrame) -> list[str]:
        columns = [rows[name].tolist() for name in self.fields]
        return ["\n".join(text for text in row if isinstance(text, str)) for row in zip(*columns, strict=True)]

    def _longest(self) -> int:
        longest: Any = self.max_tokens  # a file may say anything
        if not isinstance(longest, int) or longest < 4:
            raise ModelError("max_tokens of the transformer must be a whole number, at least 4.")
        return longest
