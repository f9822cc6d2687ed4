"""A library that hangs while it is imported by a zygote."""

import threading

threading.Event().wait()
