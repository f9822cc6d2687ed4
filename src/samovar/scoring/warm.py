"""Importing this loads what scikit-learn otherwise loads at its first frame: a builder is forked after that, and finds it there."""

from __future__ import annotations

import pandas as pd
from sklearn.preprocessing import StandardScaler

from samovar.scoring import maker
from samovar.scoring.engines import sklearn as _  # noqa: F401 - what a build opens first

StandardScaler().fit(pd.DataFrame({"a": [0.0, 1.0]}))
maker.name()  # of the code that is loaded now
