"""The one error tree: an error is named by what the caller should do next.

::

    SamovarError                    anything Samovar raises on purpose
    ├── FixInput                    the caller gave something wrong: mend it, then call again
    │   ├── UsageError              the command line or a call's arguments            (exit code 2)
    │   ├── SettingsError           an environment variable, .env or samovar.toml     (exit code 2)
    │   ├── ProjectError            a project that is unknown or wrongly declared     (exit code 2)
    │   ├── ContractError           a contract that cannot be built or read           (exit code 2)
    │   ├── DataError               rows that the contract or the dataset rules refuse
    │   ├── RequestError            one request to an endpoint; carries the field's path
    │   └── Conflict                the world is not as the call assumed (already up, port taken, busy)
    │       └── Superseded          a controller with a younger lease gives the orders
    ├── RetryLater                  nothing is wrong with the call: try again after a while
    │   ├── RegistryUnavailable     MLflow cannot be reached or answers garbage
    │   ├── StoreUnavailable        the app database or the lake cannot be reached
    │   ├── StackUnavailable        a process of the local stack does not answer
    │   └── Preparing               what a version needs is being made; whoever asked is told when it is there
    └── GiveUp                      trying again will not help: a person must look
        ├── NotFound                a model, version, alias, dataset or artifact that does not exist
        ├── Untrusted               a model file that may run code and was not trusted
        ├── ModelError              a model that fails to load, or fails at its own input example
        └── Refused                 a decision said no (gate not passed, nothing to roll back to)

``str(error)`` is one line a person can act on. It never holds a submitted value or a secret.
"""

from __future__ import annotations


class SamovarError(Exception):
    """Base of all errors raised on purpose.

    Args:
        message: what is wrong, in one sentence.
        remedy: what to do about it, in one sentence; printed after the message.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """Return the message and the remedy on one line."""
        return f"{self.message} {self.remedy}".strip()


class FixInput(SamovarError):
    """Mend the input, then call again."""


class UsageError(FixInput):
    """The command line, or the arguments of a call, are wrong."""

    exit_code = 2


class SettingsError(FixInput):
    """An environment variable, ``.env`` or ``samovar.toml`` is wrong."""

    exit_code = 2


class ProjectError(FixInput):
    """A project is unknown or wrongly declared."""

    exit_code = 2


class ContractError(FixInput):
    """A contract cannot be built or read."""

    exit_code = 2


class DataError(FixInput):
    """Rows, or a dataset as a whole, break the rules."""


class RequestError(FixInput):
    """One request to an endpoint is wrong.

    Args:
        message: what was expected, without any submitted value.
        path: the contract field's path (``rows[3].amount``), empty when the whole body is meant.
        remedy: what to do about it.
    """

    def __init__(self, message: str, *, path: str = "", remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.path = path


class Conflict(FixInput):
    """The world is not as the call assumed: already running, port taken, claimed by another."""


class Superseded(Conflict):
    """A controller with a younger lease gives the orders: this one may not."""


class RetryLater(SamovarError):
    """Nothing is wrong with the call: try again after a while."""


class RegistryUnavailable(RetryLater):
    """MLflow cannot be reached, or does not answer as MLflow does."""


class StoreUnavailable(RetryLater):
    """The app database or the lake cannot be reached."""


class StackUnavailable(RetryLater):
    """A process of the local stack does not answer."""


class Preparing(RetryLater):
    """What is needed is being made."""


class GiveUp(SamovarError):
    """Trying again will not help."""


class NotFound(GiveUp):
    """A model, version, alias, dataset or artifact does not exist."""


class Untrusted(GiveUp):
    """A model file may run code when loaded, and nobody trusted it."""


class ModelError(GiveUp):
    """A model fails to load, or fails at its own input example."""


class Refused(GiveUp):
    """A decision said no."""
