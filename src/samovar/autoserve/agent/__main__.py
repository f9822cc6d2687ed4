"""Runs the agent."""

from __future__ import annotations

import sys

from samovar.autoserve.agent.main import main

sys.exit(main())
