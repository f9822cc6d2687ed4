"""``samovar init``: a working project of one's own, to be changed line by line."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar import workspace
from samovar.errors import Conflict, ProjectError

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")

TEMPLATE = '''"""The project {name}: what one row looks like, where rows come from, and what a good model is."""

from typing import Annotated, Literal

import numpy as np
import polars as pl

import samovar as sv


class {contract}(sv.Contract):
    """One customer, as a request describes one."""

    customer_id: sv.Key[str]  # names the row; the model never sees it
    tenure_months: Annotated[int, sv.Range(ge=0, le=600)]
    plan: Literal["basic", "plus", "pro"]  # a closed set; write `str` to leave it open
    monthly_spend: Annotated[float, sv.Range(ge=0)]
    support_calls: Annotated[int, sv.Range(ge=0)] | None = None  # may be left out


@sv.project(
    contract={contract},
    target="churned",
    positive=1,
    metric="average_precision",
    candidates=[sv.kinds.logreg(trials=3), sv.kinds.hist_gradient_boosting(trials=3, max_iter=100)],
    gate=sv.Gate(minimum=0.4),  # no version below this is promoted
)
def {name}(window: sv.Window) -> pl.DataFrame:
    """Customers, and whether they left."""
    # These are made up, so that the project runs at once: put your own rows here, in the window's span of time.
    rng = np.random.default_rng(7)
    size = 3000
    tenure, calls = rng.integers(0, 72, size), rng.poisson(1.2, size)
    plan = rng.choice(["basic", "plus", "pro"], size, p=[0.5, 0.3, 0.2])
    spend = rng.gamma(4.0, 9.0, size).round(2)
    risk = -2.5 + 1.1 * calls - 0.05 * tenure + 4.0 * ((plan == "basic") & (spend > 40))
    churned = (rng.random(size) < 1 / (1 + np.exp(-risk))).astype(int)
    return pl.DataFrame(
        {{
            "customer_id": [f"c{{number:05d}}" for number in range(size)],
            "tenure_months": tenure,
            "plan": plan,
            "monthly_spend": spend,
            "support_calls": calls,
            "churned": churned,
        }}
    )
'''


def init(name: str, folder: Path | None = None) -> Mapping[str, Any]:
    """Write ``NAME.py`` and add it to the nearest ``samovar.toml`` (a new one if there is none).

    Args:
        name: the project's name.
        folder: where the file goes; None is the current folder.

    Returns:
        ``name``, ``file`` and ``settings`` (the ``samovar.toml``).

    Raises:
        ProjectError: the name is no project name, or is taken.
        Conflict: the file exists; it is left as it is.
    """
    folder = (folder or Path()).absolute()
    _check(name, folder)
    file = folder / f"{name}.py"
    contract = "".join(word.capitalize() for word in name.split("_") if word) + "Row"
    _write(file, TEMPLATE.format(name=name, contract=contract))
    try:
        settings = workspace.add(name, f"{name}.py:{name}", folder)
    except BaseException:
        file.unlink()  # both or nothing
        raise
    return {"name": name, "file": str(file), "settings": str(settings)}


def _check(name: str, folder: Path) -> None:
    if not _NAME.match(name) or keyword.iskeyword(name):
        raise ProjectError(f"{name!r} cannot name a project.", remedy="Use a-z, 0-9 and _, starting with a letter.")
    if (folder / f"{name}.py").exists():
        raise _exists(folder / f"{name}.py")
    if name in workspace.entries(folder):
        raise ProjectError(f"There is a project {name} already.", remedy="Choose another name.")
    if workspace.is_module(name):
        raise ProjectError(f"{name} is the name of a Python module.", remedy="Choose another name, since the file would hide it.")


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise _exists(file) from None
    except OSError as error:
        raise Conflict(f"{file} cannot be written ({error.strerror}).", remedy="Check the folder and its permissions.") from None


def _exists(file: Path) -> Conflict:
    return Conflict(f"{file} exists and is left as it is.", remedy="Choose another name, or move the file away.")
