"""The winner's model card, as a page in its run: drawn once, from what the run itself holds, whoever trained it and where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from samovar.pipelines.candidates import EVALUATION, MISTAKES
from samovar.registry import runs
from samovar.training import card, card_page, plots

if TYPE_CHECKING:
    from samovar.pipelines.context import Context
    from samovar.registry.runs import Run

PAGE = "model_card.html"
TAG = "samovar.model_card"
"""Tag of a version: where its card is."""

_SHOWN = {
    "plots/evaluation.png": "Confusion, reliability, and precision against recall, on the held-out rows",
    "plots/details.png": "The ROC curve, the parts of the rows, and what the model looks at",
}


def publish(ctx: Context, run: Run) -> tuple[str, str]:
    """Draw the card of a run, log it there, and return what the version says of it: a description, and where the card is.

    Doing it again writes the same files again.

    Raises:
        NotFound: the run holds no evaluation.
        RegistryUnavailable: MLflow cannot be reached.
    """
    document = json.loads(runs.read_file(ctx.registry, run, EVALUATION))
    mistakes = json.loads(runs.read_file(ctx.registry, run, MISTAKES))
    drawn = {f"plots/{name}": png for name, png in (plots.draw(document) | plots.details(document)).items()}
    page = card_page.page(document, mistakes, {_SHOWN[path]: png for path, png in drawn.items()})
    runs.log_files(ctx.registry, run, drawn | {PAGE: page.encode()})
    where = f"runs:/{run.run_id}/{PAGE}"
    said = [card.headline(document), card.against_baseline(document), f"Model card: {where}"]
    return "\n\n".join(line for line in said if line), where
