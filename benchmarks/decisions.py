"""How often gate and A/B test are wrong: ``build/bench/decisions.json``; ``--picture`` draws ``docs/figures/decisions.png``.

Synthetic champions and challengers, seeds fixed beforehand. A pair is drawn by its accuracies and its discordance: the share of
rows of which only one of the two is right. It goes through the gate itself (`samovar.training.gate`), rows as an outcome. The A/B
test is looked at every day and stopped at the first day on which it calls a winner.
"""

from __future__ import annotations

import itertools
import json
import sys

import figures
import numpy as np

from samovar.project import Gate
from samovar.training import gate, sequential
from samovar.training.outcomes import Outcome

SEED = 20181
PAIRS = 400  # of each kind: worse, equal, better
EXPERIMENTS = 1000
DAYS = 42
POWER_PAIRS = 60
SIZES = (500, 1000, 2000, 5000, 10_000)
DISCORDANCE = (0.02, 0.04, 0.08, 0.16)
POLICY = Gate(minimum=0.0)


def pair(random: np.random.Generator, rows: int, advantage: float, discordance: float) -> tuple[Outcome, Outcome]:
    """Draw a challenger that is better by ``advantage`` of all rows; of ``discordance`` of them only one of the two is right."""
    only_champion = (discordance - advantage) / 2
    both_right = random.uniform(0.7, 0.9) - only_champion
    drawn = random.choice(4, rows, p=[both_right, only_champion + advantage, only_champion, 1 - both_right - discordance])
    truth = (random.random(rows) < 0.5).astype(int)
    return _outcome(truth, drawn <= 1), _outcome(truth, (drawn == 0) | (drawn == 2))


def _outcome(truth: np.ndarray, right: np.ndarray) -> Outcome:
    return Outcome(truth, np.eye(2)[np.where(right, truth, 1 - truth)], positive=1)


def promoted(random: np.random.Generator, rows: int, advantage: float, discordance: float) -> bool:
    """Put one pair before the gate."""
    challenger, champion = pair(random, rows, advantage, discordance)
    seed = int(random.integers(16))  # resamples are drawn anew for each seed, which takes most of the time
    return gate.decide(POLICY, "accuracy", gate.Challenger(challenger, 1.0, 1.0), champion, seed=seed).passed


def shares(random: np.random.Generator) -> dict[str, float]:
    """Share of promotions of worse, equal and better challengers, sizes and discordances mixed."""
    kinds = {"worse": (-0.05, -0.01), "equal": (0.0, 0.0), "better": (0.02, 0.02)}
    found = {}
    for kind, (low, high) in kinds.items():
        count = 0
        for _ in range(PAIRS):
            rows = 5000 if kind == "better" else int(random.choice(SIZES))
            advantage = random.uniform(low, high)
            widest = 0.08 if kind == "better" else 0.16
            count += promoted(random, rows, advantage, random.uniform(max(abs(advantage), 0.02) + 0.002, widest))
        found[f"{kind}_promoted"] = count / PAIRS
    return found


def power(random: np.random.Generator) -> dict[str, dict[str, float]]:
    """Share of promotions of a challenger that is two points better, by discordance and number of rows."""
    found: dict[str, dict[str, float]] = {}
    for discordance, rows in itertools.product(DISCORDANCE, SIZES):
        count = sum(promoted(random, rows, 0.02, max(discordance, 0.021)) for _ in range(POWER_PAIRS))
        found.setdefault(f"{discordance:g}", {})[str(rows)] = count / POWER_PAIRS
    return found


def first_call(random: np.random.Generator, effect: float) -> int | None:
    """Look every day at a split and return the first day that calls a winner."""
    daily, share, base = int(random.integers(50, 2000)), float(random.choice([0.05, 0.1, 0.5])), random.uniform(0.6, 0.97)
    rows = random.poisson(daily, DAYS)
    arms = [np.cumsum(random.binomial(rows, part)) for part in (share, 1 - share)]
    right = []
    for counts, rate in zip(arms, (min(base + effect, 1.0), base), strict=True):
        new = np.diff(counts, prepend=0)
        right.append(np.cumsum(random.binomial(new, rate)))
    for day in range(DAYS):
        ours, theirs = (sequential.of_shares(int(hits[day]), int(counts[day])) for hits, counts in zip(right, arms, strict=True))
        if sequential.compare(ours, theirs).verdict in {"challenger", "champion"}:
            return day + 1
    return None


def main() -> int:
    """Measure, write and, if asked, draw."""
    random = np.random.default_rng(SEED)
    measured: dict[str, float] = {"pairs": 3 * PAIRS, **shares(random)}
    calls = [first_call(random, 0.0) for _ in range(EXPERIMENTS)]
    measured["peeking_false_alarms"] = sum(call is not None for call in calls) / EXPERIMENTS
    found = [call for call in (first_call(random, 0.02) for _ in range(200)) if call is not None]
    curve = power(random)
    days = {"two points better, found within six weeks": len(found) / 200, "median day": float(np.median(found)) if found else None}
    figures.write("build/bench/decisions.json", measured, power=curve, ab=days, power_pairs=POWER_PAIRS, experiments=EXPERIMENTS)
    if "--picture" in sys.argv[1:]:
        draw(curve, measured)
    print(json.dumps(measured | {"power": curve, "ab": days}))
    return 0


def draw(curve: dict[str, dict[str, float]], measured: dict[str, float]) -> None:
    """Draw the power curve, and beside it how often the gate was wrong."""
    import matplotlib as mpl  # noqa: PLC0415 - only who draws pays for it

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), width_ratios=[2, 1], layout="constrained")
    for discordance, row in curve.items():
        left.plot([int(rows) for rows in row], list(row.values()), marker="o", label=f"{float(discordance):.0%} discordant")
    left.axhline(0.95, color="grey", linewidth=0.8, linestyle="--")
    left.set(xscale="log", xlabel="held-out rows", ylabel="share promoted", ylim=(0, 1.03), title="A challenger two points better")
    left.set_xticks(SIZES, [f"{size:,}" for size in SIZES], minor=False)
    left.minorticks_off()
    left.legend(frameon=False)
    names = {"worse_promoted": "worse\npromoted", "equal_promoted": "equal\npromoted", "peeking_false_alarms": "A/B false\nalarms"}
    right.bar(list(names.values()), [100 * measured[name] for name in names], color="tab:red", width=0.5)
    for at, name in enumerate(names):
        right.annotate(f"{100 * measured[name]:.1f} %", (at, 100 * measured[name]), ha="center", va="bottom")
    right.set(ylabel="%", ylim=(0, 6), title="Errors")
    figure.savefig(figures.ROOT / "docs/figures/decisions.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    sys.exit(main())
