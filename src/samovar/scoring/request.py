"""What goes into a builder and what comes out: plain messages, so that a builder is one pipe in and one pipe out."""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.scoring.explanation import Explanation  # noqa: TC001 - msgspec reads the annotation at run time
from samovar.scoring.plan import ScorerPlan  # noqa: TC001 - msgspec reads the annotation at run time

Condition = Literal["Built", "Untrusted", "Failed"]
"""``Untrusted``: a person must decide. ``Failed``: the version cannot be served as it is."""


class BuildRequest(msgspec.Struct, frozen=True):
    """One model version to turn into a plan.

    Attributes:
        model: registered model.
        version: registry version number.
        run_id: MLflow run that logged it.
        label: what answers call the version: its ``semver`` tag, else ``v<version>``.
        files: every file of the model's folder, path -> bytes.
        trusted: whether a person trusted this version's code.
        compile: whether the model may be lowered.
        explain: whether the result shall say what it was lowered to.
        environment: name of the environment that it is built in; empty for the host's.
    """

    model: str
    version: int
    run_id: str
    label: str
    files: dict[str, bytes]
    trusted: bool = False
    compile: bool = True
    explain: bool = False
    environment: str = ""


class BuildResult(msgspec.Struct, frozen=True):
    """What a builder says: a plan, or why there is none.

    Attributes:
        condition: how it went.
        plan: the plan when ``Built``.
        message: what is wrong, one sentence.
        remedy: what to do about it.
        explanation: when it was asked for, of a scikit-learn model.
    """

    condition: Condition
    plan: ScorerPlan | None = None
    message: str = ""
    remedy: str = ""
    explanation: Explanation | None = None
