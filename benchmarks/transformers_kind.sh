#!/bin/sh
# Runs the tests of the kind distilbert where torch is: in an environment of its own, which sees all that the given one has.
# transformers_kind.sh PYTHON FOLDER [pytest's arguments]
set -eu
python=$1 folder=$2
shift 2
if [ ! -x "$folder/bin/pytest-here" ]; then
    "$python" -m venv "$folder"
    "$python" -c "import sys; print('\n'.join(path for path in sys.path if path))" > "$("$folder/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")/locked.pth"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "torch==2.13.0" "transformers>=5" safetensors
    printf '#!/bin/sh\nexec "%s" -m pytest "$@"\n' "$folder/bin/python" > "$folder/bin/pytest-here"
    chmod +x "$folder/bin/pytest-here"
fi
exec "$folder/bin/pytest-here" tests/encoders/test_distilbert.py "$@"
