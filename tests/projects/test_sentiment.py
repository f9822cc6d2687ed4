"""Reviews from files as they are published, whole or broken, and what the projects make of them."""

import csv
import gzip
import http.server
import importlib
import io
import json
import lzma
import threading

import polars as pl
import pytest

import samovar as sv
from samovar.contracts.check import check
from samovar.errors import DataError
from samovar.projects import reviews, sentiment

HEADER = ["asin", "helpful", "overall", "reviewText", "reviewTime", "reviewerID", "summary", "unixReviewTime"]


def published(count=40):
    """Made-up reviews in the published form, one a day."""
    return [
        {
            "asin": f"B{row % 7:03d}",
            "helpful": [0, 1],
            "overall": row % 5 + 1,
            "reviewText": f'Book {row}, "quoted"\nand on a second line',
            "reviewTime": "08 20, 2006",
            "reviewerID": f"A{row % 11:03d}",
            "summary": f"title {row}",
            "unixReviewTime": 1_156_032_000 + 86_400 * row,
        }
        for row in range(count)
    ]


def as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_json(rows):
    return "\n".join(map(json.dumps, rows)).encode()


PACKED = {".csv": bytes, ".json": bytes, ".csv.gz": gzip.compress, ".json.xz": lzma.compress}


@pytest.mark.parametrize("suffix", PACKED)
def test_every_published_form_gives_the_same_rows(tmp_path, suffix):
    path = tmp_path / f"kindle_reviews{suffix}"
    path.write_bytes(PACKED[suffix](as_csv(published()) if ".csv" in suffix else as_json(published())))
    frame = reviews.read(str(path), sv.Window())
    assert frame.height == 40
    assert frame["unreadable"].null_count() == 40
    assert frame["reviewed_at"].is_sorted()
    assert frame.row(3, named=True)["reviewText"] == published()[3]["reviewText"]
    assert frame["stars"].to_list() == [row["overall"] for row in published()]


def test_an_address_is_read_too(tmp_path):
    (tmp_path / "reviews.csv.gz").write_bytes(gzip.compress(as_csv(published())))
    handler = lambda *args: http.server.SimpleHTTPRequestHandler(*args, directory=str(tmp_path))  # noqa: E731 - a partial
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert reviews.read(f"{address}/reviews.csv.gz", sv.Window()).height == 40
        with pytest.raises(DataError, match="HTTPError"):
            reviews.read(f"{address}/none.csv", sv.Window())
        server.shutdown()


def test_few_rows_are_kept_of_many_and_always_the_same(tmp_path):
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    one.write_bytes(as_json(published(500)))
    other.write_bytes(as_json(published(500)[::-1]))
    kept = reviews.read(str(one), sv.Window(), limit=30)
    assert kept.height == 30
    assert kept.equals(reviews.read(str(other), sv.Window(), limit=30))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"overall": 5, "reviewText"', "no JSON"),
        (b"[1, 2]", "expected a JSON object"),
        (b'{"overall": 6, "reviewText": "x"}', "none of the stars"),
        (b'{"overall": "many", "reviewText": "x"}', "no number"),
        (b'{"overall": NaN, "reviewText": "x"}', "none of the stars"),
        (b"\xff\xfe\x00", "no JSON"),
        (b"[" * 50_000, "no JSON"),
    ],
)
def test_a_line_that_is_no_review_is_kept_with_its_reason_and_harms_no_other(tmp_path, line, reason, monkeypatch):
    path = tmp_path / "reviews.json"
    path.write_bytes(as_json(published()) + b"\n" + line + b"\n" + as_json(published(1)).replace(b"Book", b"Last"))
    monkeypatch.setenv("SAMOVAR_SENTIMENT_SOURCE", str(path))
    project = sentiment.sentiment_stars
    frame = project.source(sv.Window())
    (said,) = frame["unreadable"].drop_nulls().to_list()
    assert said.startswith("line 41: ")
    assert reason in said
    checked = check(frame, project.contract, target="stars", time="reviewed_at", carried=project.carried)
    assert checked.bad_rows == 1
    assert checked.accepted.height == 41
    assert ("reviewText", "missing") in {(found.field, found.reason) for found in checked.rejected}


def test_csv_rows_with_other_cells_than_the_header_are_told_apart(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(as_csv(published(5)) + b"one,cell,too,few\r\n" + as_csv(published(1)).split(b"\r\n", 1)[1])
    frame = reviews.read(str(path), sv.Window())
    assert frame.height == 7
    assert "4 cells where the header has 8" in frame["unreadable"].drop_nulls().item()


@pytest.mark.parametrize("data", [b"", b"a,b\n1,2\n", gzip.compress(as_csv(published()))[:-40], lzma.compress(b"x" * 99)[:-9]])
def test_what_is_no_file_of_reviews_is_refused_in_one_sentence(tmp_path, data):
    path = tmp_path / "reviews.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match="reviews"):
        reviews.read(str(path), sv.Window())


def test_a_kindle_file_in_the_raw_data_is_found_and_shapes_the_split(tmp_path, monkeypatch):
    (tmp_path / "kindle_reviews.csv").write_bytes(as_csv(published()))
    monkeypatch.delenv("SAMOVAR_SENTIMENT_SOURCE", raising=False)
    monkeypatch.setenv("RAW_DATA_DIR", str(tmp_path))
    try:
        project = importlib.reload(sentiment).sentiment
        assert (project.time, project.groups) == ("reviewed_at", ("reviewerID", "asin"))
        assert [spec.params.get("pieces") for spec in project.candidates if spec.kind == "logreg"] == [True]
        frame = project.source(sv.Window())
        assert set(frame["stars"]) == {1, 2, 4, 5}
        assert frame.filter(pl.col("sentiment") == "positive")["stars"].min() == 4
    finally:
        monkeypatch.undo()
        importlib.reload(sentiment)


def test_the_packaged_films_are_read_without_their_code():
    frame = sentiment.films()
    assert frame.height > 30_000
    assert set(frame["sentiment"]) == {"positive", "negative"}
    assert set(frame["origin"]) == {"imdb", "rotten_tomatoes"}


def test_stars_without_a_file_say_what_to_set(monkeypatch):
    monkeypatch.delenv("SAMOVAR_SENTIMENT_SOURCE", raising=False)
    monkeypatch.delenv("RAW_DATA_DIR", raising=False)
    with pytest.raises(DataError, match="SAMOVAR_SENTIMENT_SOURCE"):
        sentiment.sentiment_stars.source(sv.Window())
