"""torch networks for `samovar.encoders.finetuned`: from a folder or a hub, to bytes, back from bytes, and asked.

Only kinds of network that the library transformers itself carries are made, from configuration that is plain JSON; code beside
the weights is never run, and pickled weights are refused.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.encoders import library
from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DEFAULT = "distilbert/distilbert-base-uncased"
KNOWN = ("distilbert", "bert", "roberta", "electra")
"""Kinds of network that are read."""

_CODE = frozenset({"auto_map"}) | {f"{start}{part}_implementation" for start in ("", "_") for part in ("attn", "experts")}
"""Words of a configuration by which transformers fetches code: classes beside the weights, and kernels by their hub name."""

_BATCH = 32  # rows of one forward pass when probabilities are asked for
_TEXT_LIMIT = 20  # characters per token that are handed to the tokenizer


def lib(name: str) -> Any:
    """Import torch, transformers or safetensors; raises ModelError."""
    return library(name, kind="distilbert", extra="transformers")


@contextlib.contextmanager
def repeatable(seed: int, threads: int) -> Iterator[None]:
    """Seed torch and keep it to algorithms that repeat, on so many threads; give all of it back as it was."""
    torch = lib("torch")
    before = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0])
            torch.set_num_threads(before[1])


def pretrained(weights: str, classes: int) -> tuple[Any, bytes]:
    """Return the network with a new head for so many classes, and its tokenizer's JSON.

    Raises:
        ModelError: a library is missing, the weights cannot be had, or they are of a kind that is not read.
    """
    transformers, local = _transformers(), Path(weights).is_dir()
    safe: dict[str, Any] = {"trust_remote_code": False, "local_files_only": local}
    try:
        config = transformers.AutoConfig.from_pretrained(weights, num_labels=classes, **safe)
        _check_kind(config.model_type)
        tokenizer = transformers.AutoTokenizer.from_pretrained(weights, use_fast=True, **safe)
        found = transformers.AutoModelForSequenceClassification.from_pretrained(
            weights, config=config, use_safetensors=True, dtype=lib("torch").float32, **safe
        )
        return found, tokenizer.backend_tokenizer.to_str().encode()
    except (OSError, ValueError, AttributeError, KeyError) as error:
        lacks = "The folder has no" if local else "There is no such folder, and no hub gives"
        raise ModelError(
            f"The transformer {weights!r} cannot be had ({type(error).__name__}). {lacks} safetensors weights and tokenizer.",
            remedy="Give `weights` as a folder with config.json, model.safetensors and tokenizer.json.",
        ) from error


def dump(network: Any) -> tuple[bytes, bytes]:
    """Return weights as safetensors and configuration as JSON."""
    state = {name: tensor.detach().contiguous().clone() for name, tensor in network.state_dict().items()}
    config = {name: value for name, value in network.config.to_dict().items() if name not in ("_name_or_path", "auto_map")}
    return lib("safetensors.torch").save(state), json.dumps(config, sort_keys=True, default=str).encode()


def restored(state: bytes, config: bytes) -> Any:
    """Return the network that `dump` wrote, on one thread: workers share the machine.

    Raises:
        ModelError: a library is missing, or the bytes do not make a network of a known kind.
    """
    torch, transformers, safetensors = lib("torch"), _transformers(), lib("safetensors.torch")
    torch.set_num_threads(1)
    try:
        values = {name: value for name, value in json.loads(config).items() if name not in _CODE}
        kind = values.pop("model_type")
        _check_kind(kind)
        made = transformers.AutoConfig.for_model(kind, **values)
        found = transformers.AutoModelForSequenceClassification.from_config(made, trust_remote_code=False)
        found.load_state_dict(safetensors.load(state))
    except ModelError:
        raise
    except Exception as error:  # whatever a damaged configuration makes the library raise
        raise ModelError(f"The transformer in this model is damaged ({type(error).__name__}).", remedy="Train it again.") from error
    return found.eval()


def tokens(texts: Sequence[str], tokenizer: bytes, longest: int) -> list[list[int]]:
    """Token numbers of each text, at most ``longest`` of them."""
    found = lib("tokenizers").Tokenizer.from_str(tokenizer.decode())
    found.enable_truncation(longest)
    found.no_padding()
    plain = [text[: longest * _TEXT_LIMIT].encode("utf-8", "replace").decode() for text in texts]
    return [encoding.ids for encoding in found.encode_batch(plain)]


def logits(network: Any, batch: Sequence[Sequence[int]]) -> Any:
    """One forward pass over rows padded to the longest of them; a tensor of shape (n, classes)."""
    torch = lib("torch")
    mask = torch.zeros((len(batch), max(len(row) for row in batch)), dtype=torch.long)
    ids = torch.full_like(mask, network.config.pad_token_id or 0)
    for index, row in enumerate(batch):
        ids[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[index, : len(row)] = 1
    return network(input_ids=ids, attention_mask=mask).logits


def probabilities(network: Any, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Softmax of the logits in float64, shape (n, classes)."""
    torch = lib("torch")
    found = np.empty((len(rows), network.config.num_labels))
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    network.eval()
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            found[batch] = torch.softmax(logits(network, [rows[index] for index in batch]).double(), dim=1).numpy()
    return found


def _check_kind(kind: str) -> None:
    if kind not in KNOWN:
        raise ModelError(f"A transformer of the kind {kind!r} is not read.", remedy=f"Use one of {', '.join(KNOWN)}.")


def _transformers() -> Any:
    found = lib("transformers")
    found.utils.logging.set_verbosity_error()
    found.utils.logging.disable_progress_bar()
    return found
