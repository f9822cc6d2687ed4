"""Is the fraud model better than a logistic regression, and are its probabilities calibrated? ``build/bench/fraud_quality.json``.

Runs the real steps (ingest, train) against a real MLflow server in a folder of its own, and reads the registered version's figures
on its held-out period back from MLflow. Intervals are 95 % bootstrap intervals over the held-out rows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import figures


def main() -> int:
    """Measure and write."""
    with tempfile.TemporaryDirectory(prefix="samovar-fraud-") as home:
        os.environ["SAMOVAR_HOME"] = home
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        samovar = [sys.executable, "-m", "samovar.cli.main"]
        subprocess.run([*samovar, "up", "--detach"], check=True)
        try:
            subprocess.run([*samovar, "ingest", "fraud"], check=True)
            trained = json.loads(
                subprocess.run([*samovar, "train", "fraud", "--json"], check=True, capture_output=True, text=True).stdout
            )
            evaluation = _evaluation(samovar, trained["version"], Path(home))
        finally:
            subprocess.run([*samovar, "down"], check=True)
    metric, losses = evaluation["metric"], evaluation["calibration"]["losses"]
    gain = evaluation["baseline"]["gain"]
    measured = {
        "kind": trained["kind"],
        "held_out_rows": evaluation["rows"],
        metric: evaluation["metrics"][metric]["value"],
        f"{metric}_low": evaluation["metrics"][metric]["low"],
        "gain_over_logreg": gain["value"],
        "gain_over_logreg_low": gain["low"],
        "ece": losses["ece"]["value"],
        "ece_high": losses["ece"]["high"],
        "ece_by_chance": evaluation["calibration"]["ece_by_chance"],
        "brier": losses["brier"]["value"],
    }
    figures.write("build/bench/fraud_quality.json", measured, evaluation=evaluation, candidates=trained["candidates"])
    print(json.dumps(measured))
    return 0


def _evaluation(samovar: list[str], version: int, home: Path) -> dict:
    folder = home / "downloaded"
    uri = json.loads((home / "run/addresses.json").read_text(encoding="utf-8"))["mlflow"]
    code = f"import mlflow; print(mlflow.artifacts.download_artifacts('models:/fraud/{version}', dst_path={str(folder)!r}))"
    folder.mkdir()
    subprocess.run([samovar[0], "-c", code], check=True, env={**os.environ, "MLFLOW_TRACKING_URI": uri}, capture_output=True)
    return json.loads(next(folder.rglob("evaluation.json")).read_text(encoding="utf-8"))


if __name__ == "__main__":
    sys.exit(main())
