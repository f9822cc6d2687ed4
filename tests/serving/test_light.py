import subprocess
import sys


def test_the_server_imports_no_heavy_library():
    """The hot path starts without pandas, scikit-learn, mlflow or a web framework; an engine loads what its model needs."""
    heavy = {"mlflow", "pandas", "sklearn", "polars", "sqlalchemy", "fastapi", "pydantic", "skops", "scipy", "yaml"}
    program = f"import sys, samovar.serving.server; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
