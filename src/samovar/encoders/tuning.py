"""Fine-tuning: AdamW, batches of rows of one length, a schedule, and a stop when rows kept aside are predicted no better."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.encoders import network as networks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_ASIDE = 0.1  # share of the rows on which early stopping judges
_FEWEST_ASIDE = 20  # rows below which a tenth of them says nothing
_POOL = 50  # batches whose rows are sorted by length together
_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_WEIGHT_DECAY = 0.01
_LONGEST_STEP = 1.0  # norm to which a gradient is cut


@dataclass(frozen=True, slots=True)
class Plan:
    """How to tune; see `samovar.encoders.finetuned.FineTunedClassifier`."""

    epochs: int
    patience: int
    balanced: bool
    learning_rate: float
    batch_size: int
    seed: int


def tune(network: Any, rows: Sequence[Sequence[int]], targets: np.ndarray, plan: Plan) -> list[float]:
    """Tune a network in place on token numbers and class indices; return the loss after each pass."""
    torch = networks.lib("torch")
    random = np.random.default_rng(plan.seed)
    learned, aside = _parts(random, len(rows), plan)
    loss = torch.nn.CrossEntropyLoss(weight=_weights(targets, plan))
    steps = plan.epochs * math.ceil(len(learned) / plan.batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    losses: list[float] = []
    best = None
    for _ in range(plan.epochs):
        network.train()
        seen = [
            _step(network, [rows[index] for index in batch], targets[batch], loss, optimizer, schedule)
            for batch in _batches(random, learned, rows, plan.batch_size)
        ]
        losses.append(_judge(network, rows, targets, aside, loss) if aside.size else float(np.mean(seen)))
        if aside.size and losses[-1] == min(losses):
            best = copy.deepcopy(network.state_dict())
        if aside.size and len(losses) - 1 - int(np.argmin(losses)) >= plan.patience:
            break
    if best is not None:
        network.load_state_dict(best)
    network.eval()
    return losses


def _step(network: Any, rows: Any, targets: np.ndarray, loss: Any, optimizer: Any, schedule: Any) -> float:  # noqa: PLR0913, PLR0917
    torch = networks.lib("torch")
    optimizer.zero_grad()
    found = loss(networks.logits(network, rows), torch.from_numpy(targets))
    found.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_STEP)
    optimizer.step()
    schedule.step()
    return float(found.detach())


def _judge(network: Any, rows: Sequence[Sequence[int]], targets: np.ndarray, aside: np.ndarray, loss: Any) -> float:
    torch = networks.lib("torch")
    found = torch.from_numpy(networks.probabilities(network, [rows[index] for index in aside])).float().clamp_min(1e-12).log()
    return float(torch.nn.functional.nll_loss(found, torch.from_numpy(targets[aside]), weight=loss.weight))


def _parts(random: np.random.Generator, count: int, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from, and rows kept aside; none when nothing stops early, or there are too few."""
    order = random.permutation(count)
    aside = round(count * _ASIDE) if plan.patience and count >= _FEWEST_ASIDE else 0
    return order[aside:], order[:aside]


def _weights(targets: np.ndarray, plan: Plan) -> Any:
    counts = np.bincount(targets)
    weights = targets.size / (counts.size * counts) if plan.balanced else np.ones(counts.size)
    return networks.lib("torch").tensor(weights, dtype=networks.lib("torch").float32)


def _batches(random: np.random.Generator, learned: np.ndarray, rows: Sequence[Sequence[int]], size: int) -> Iterator[np.ndarray]:
    """Shuffled batches of rows of about the same length: padding is paid for."""
    shuffled = random.permutation(learned)
    batches: list[np.ndarray] = []
    for start in range(0, shuffled.size, _POOL * size):
        pool = np.array(sorted(shuffled[start : start + _POOL * size], key=lambda index: len(rows[index])))
        batches += [pool[first : first + size] for first in range(0, pool.size, size)]
    for index in random.permutation(len(batches)):
        yield batches[index]


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(steps * _WARM_UP))
    return (step + 1) / warm if step < warm else max(0.0, (steps - step) / max(1, steps - warm))
