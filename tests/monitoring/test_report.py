"""Reports: three files that tell the same, readable without statistics and safe to open."""

from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from typing import Literal

import msgspec
import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar.monitoring import charts, report, words
from samovar.monitoring.comparison import Comparison, Figure, Standing, agreement
from samovar.monitoring.drift import compare
from samovar.monitoring.page import page
from samovar.monitoring.subject import Subject
from samovar.profiles import profile

EVIL = "<script>alert(1)</script>"


class Row(sv.Contract):
    amount: float
    balance: float | None
    city: str
    plan: Literal["basic", "pro"]


def rows(n, seed, *, factor=1.0, cities=("Bern", "Oslo", "Riga")):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "amount": rng.lognormal(3, 1, n) * factor,
            "balance": pl.Series(rng.normal(900, 200, n)).set(pl.Series(rng.random(n) < 0.1), None),
            "city": rng.choice(list(cities), n),
            "plan": rng.choice(["basic", "pro"], n),
        }
    )


def subject(current, *, cities=("Bern", "Oslo", "Riga"), **changes):
    before = rows(600, 1, cities=cities)
    reference = profile.build(before, Row.spec, before["amount"] / 1e4)
    counted = profile.count(reference, current, current["amount"] / 1e4)
    given = {"project": "shop", "model": "shop", "version": 3, "dataset": "d" * 64, "origin": "source", "seen": "1 March 2026"}
    found = {"report": compare(reference, counted, sv.Drift()), "reference": reference, "current": counted}
    return Subject(**{**given, **found} | changes)


CALM = subject(rows(400, 2))
DRIFTED = subject(rows(400, 3, factor=4.0, cities=("Oslo", EVIL)))


class Tags(HTMLParser):
    """Collects start tags with their attributes, checks that they are closed."""

    def __init__(self, text):
        super().__init__()
        self.seen, self.open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag


def test_the_three_files_tell_the_same(tmp_path):
    told = report.write(tmp_path / "new", DRIFTED)
    files = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}
    assert set(files) == {"drift_report.csv", "drift_report.json", "drift_report.html"}
    assert json.loads(files["drift_report.json"]) == json.loads(msgspec.json.encode(told))
    lines = list(csv.DictReader(io.StringIO(files["drift_report.csv"])))
    assert [line["feature"] for line in lines] == [entry["name"] for entry in told["features"]] + ["prediction"]
    assert [float(line["psi"]) for line in lines[:-1]] == [entry["psi"] for entry in told["features"]]
    assert {line["feature"] for line in lines if line["shifted"] == "true"} >= {"amount", "city"}
    assert told["shifted"] == ["city", "amount"] or told["shifted"] == ["amount", "city"]


def test_the_same_findings_give_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        report.write(tmp_path / name, DRIFTED)
    assert [path.read_bytes() for path in sorted((tmp_path / "one").iterdir())] == [
        path.read_bytes() for path in sorted((tmp_path / "two").iterdir())
    ]


@pytest.mark.parametrize("about", [CALM, DRIFTED, subject(rows(9, 5))], ids=["ok", "alarm", "too few"])
def test_the_page_is_one_sound_file(about):
    """Tags are closed, nothing is loaded from anywhere, nothing runs; the charts are valid SVG."""
    text = page(about)
    tags = Tags(text)
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "iframe", "img", "object", "base", "form"}
    assert all(not {"src", "href", "onload", "onclick"} & set(attrs) for _, attrs in tags.seen)
    for part in text.split("<svg ")[1:]:
        ET.fromstring(f"<svg {part.split('</svg>')[0]}</svg>")


def test_values_of_rows_cannot_run_in_the_page():
    """A category that looks like markup is shown as text."""
    text = page(subject(rows(400, 3), cities=("Bern", EVIL)))
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)" in text


def test_the_page_opens_with_the_verdict_and_what_to_do():
    """The first things a reader meets are one sentence and the next steps."""
    text = page(DRIFTED)
    sentence = text.index("2 of 4 features have shifted, most of all")
    assert sentence < text.index("What to do next") < text.index("<svg")
    assert "samovar retrain shop" in text
    assert "Nothing. The next look comes with the next rows." in page(CALM)


def test_sentences_fit_the_findings():
    assert words.verdict(CALM) == "The 400 rows look like those that version 3 learned from."
    one = subject(rows(400, 3, factor=4.0))
    assert words.verdict(one).startswith("One of 4 features has shifted: amount (on average ")
    assert words.verdict(subject(rows(9, 5))) == "There are only 9 rows: too few to tell (at least 40 are needed)."
    assert "missing in 10% of the rows then, in 100% now" in words.verdict(
        subject(rows(400, 2).with_columns(balance=pl.lit(None, dtype=pl.Float64)))
    )


def test_the_challenger_is_judged_in_words():
    """Better, worse and not told apart follow from where the interval lies."""

    def told(low, high):
        standing = Standing(1, "accuracy", 90, Figure(0.8, 0.7, 0.9))
        gain = Figure((low + high) / 2, low, high)
        return words.comparison(Comparison(1, 2, 100, 0.93, standing, replace_version(standing, 2), gain))

    assert "it is better" in told(0.01, 0.2)
    assert "it is worse" in told(-0.2, -0.01)
    assert "cannot be told apart" in told(-0.1, 0.1)
    assert words.comparison(Comparison(1, 2, 100, 0.93)) == "Version 2 gave the same answer as version 1 on 93.0% of the rows."


def replace_version(standing, version):
    return msgspec.structs.replace(standing, version=version)


def test_agreement_needs_the_same_rows():
    assert agreement(["a", "b", "a"], ["a", "b", "b"]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="shorter"):
        agreement(["a"], [])


def test_bars_over_the_line_are_marked_and_the_line_is_drawn():
    """The threshold line stands where the axis says; only shifted features are orange; a huge one does not squeeze the others."""
    found = DRIFTED.report
    svg = ET.fromstring(charts.psi_bars(found.features, found.threshold))
    space = "{http://www.w3.org/2000/svg}"
    bars = svg.findall(f".//{space}rect")
    assert [bar.get("fill") == charts.NOW for bar in bars] == [entry.shifted for entry in found.features]
    line = float(svg.find(f"{space}line").get("x1"))
    for bar, entry in zip(bars, found.features, strict=True):
        end = float(bar.get("x")) + float(bar.get("width"))
        assert (end > line) == (entry.effect > found.threshold)
    huge = msgspec.structs.replace(found.features[0], effect=1e6)
    wide = ET.fromstring(charts.psi_bars([huge], 0.1)).find(f".//{space}rect")
    assert float(wide.get("x")) + float(wide.get("width")) < 720


def test_histograms_show_shares_of_both_sides():
    """Two bars a band, as high as the shares; what lies outside of the reference, and what is missing, has a band of its own."""
    odd = rows(100, 7).with_columns(amount=pl.lit(1e9))
    counted = profile.count(DRIFTED.reference, odd)
    text = charts.histogram(DRIFTED.reference.field("amount"), counted.field("amount"))
    assert text.count("<rect") == 2 * 11  # ten deciles and what is over them
    assert "0% then, 100% now" in text
    assert "missing: 10% then" in charts.histogram(DRIFTED.reference.field("balance"), counted.field("balance"))


def test_many_categories_are_drawn_as_few():
    many = profile.build(rows(3000, 8, cities=[f"c{n}" for n in range(60)]), Row.spec)
    text = charts.histogram(many.field("city"), many.field("city"))
    assert text.count("<rect") == 2 * 15
    assert "the rest" in text


def test_a_drill_is_called_a_drill():
    assert "this drift was injected" in page(replace(DRIFTED, origin="injected"))
    assert "injected" not in page(DRIFTED)
