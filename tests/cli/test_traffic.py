"""What `samovar traffic` shows: nothing is lost in a narrow terminal."""

from __future__ import annotations

from rich.console import Console

from samovar.cli.traffic import _show

FOUND = {
    "model": "fraud",
    "alias": "Production",
    "split": {"Challenger": 10},
    "shadow": ["Candidate"],
    "warnings": ["mind this"],
    "traffic": {
        "sticky": False,
        "shares": [
            {"target": "Production", "role": "champion", "percent": 90, "versions": {"1": 905}, "ratio": None, "fallback": {}},
            {
                "target": "Challenger",
                "role": "challenger",
                "percent": 10,
                "versions": {"2": 95},
                "ratio": {"rows": 95, "total": 1000, "expected": 0.1, "p": 0.00002, "verdict": "mismatch"},
                "fallback": {"slow": 3, "down": 12},
            },
        ],
        "shadows": [
            {
                "target": "Candidate",
                "version": "3",
                "champion": "1",
                "rows": 1000,
                "failed": 1,
                "compared": 1000,
                "differing": 40,
                "disagreement": 0.04,
                "interval": [0.0295, 0.054],
                "difference": 0.125,
                "dropped": {"full": 7},
            }
        ],
    },
}


def test_shares_verdict_and_disagreement_are_shown_with_what_they_rest_on():
    console = Console(width=100, record=True, file=None, quiet=False)
    _show(console, FOUND)
    text = console.export_text()
    for words in (
        "90.50 %",
        "9.50 %",
        "mismatch (p 2e-05)",
        "slow 3, down 12",
        "Not sticky",
        "v3 beside v1",
        "4.00 %",
        "2.95 to 5.40 %",
    ):
        assert words in text
    assert "full 7" in text
    assert "mind this" in text


def test_an_endpoint_that_shares_nothing_says_so():
    console = Console(width=100, record=True)
    _show(console, FOUND | {"split": {}, "shadow": [], "warnings": []})
    assert "fraud@Production shares its traffic with nobody." in console.export_text()
