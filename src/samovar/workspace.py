"""Which projects there are: from ``samovar.toml``, from ``pyproject.toml``, and from installed packages.

::

    # samovar.toml, looked for in the current folder and the folders above it
    [projects]
    churn = "churn.py:churn"        # a file beside samovar.toml, and the project's name in it
    sales = "shop.models:sales"     # or a module

``[tool.samovar.projects]`` of a ``pyproject.toml`` says the same. Packages name theirs in the entry point group
``samovar.projects``. Where a name comes twice, the file nearer to the user wins. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
import tomllib
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samovar.errors import ProjectError, SettingsError
from samovar.project import Project

if TYPE_CHECKING:
    from types import ModuleType

FILE = "samovar.toml"
GROUP = "samovar.projects"

_loaded: dict[str, Path] = {}  # module name -> file, of the modules that came from files


@dataclass(frozen=True, slots=True)
class Entry:
    """One place where a project is said to be.

    Attributes:
        name: what commands call the project.
        target: ``file.py:attribute`` or ``package.module:attribute``.
        folder: what a file's path is relative to; None for an installed package.
    """

    name: str
    target: str
    folder: Path | None = None

    @property
    def where(self) -> str:
        """The place, for people."""
        return self.target if self.folder is None else str(self.folder / self.target)


def entries(start: Path | None = None) -> dict[str, Entry]:
    """List the projects that are declared, by name, without importing any.

    Args:
        start: folder from which the files are looked for, upward; None is the current one.

    Raises:
        SettingsError: a file cannot be read, or holds something else than names and targets.
    """
    found = {point.name: Entry(point.name, point.value) for point in importlib.metadata.entry_points(group=GROUP)}
    for file, keys in reversed(_files(start)):
        table = _table(file, keys)
        found |= {name: Entry(name, target, file.parent) for name, target in table.items()}
    return dict(sorted(found.items()))


def projects(start: Path | None = None) -> dict[str, Project]:
    """Import every project; raises as ``find`` does when one is broken."""
    return {name: load(entry) for name, entry in entries(start).items()}


def find(name: str, start: Path | None = None) -> Project:
    """Import the project called ``name``; the others are left alone, so that a broken one harms none.

    Raises:
        ProjectError: there is no such project, or its file is broken; the message names file, line and error.
    """
    known = entries(start)
    if name not in known:
        raise ProjectError(
            f"There is no project {name!r}; known are {', '.join(known) or 'none'}.",
            remedy=f"Run `samovar init {name}` to start one, or add it to {FILE}.",
        )
    return load(known[name])


def load(entry: Entry) -> Project:
    """Import the project of one entry; raises ProjectError as ``find`` does."""
    where, _, attribute = entry.target.partition(":")
    module = _module(entry, where)
    found = getattr(module, attribute, None) if attribute else None
    if not isinstance(found, Project):
        raise ProjectError(
            f"{entry.where} is no project.", remedy=f"Name a function decorated with @sv.project, as in {where}:{entry.name}."
        )
    if found.name != entry.name:
        raise ProjectError(
            f"{entry.where} calls itself {found.name}, but is listed as {entry.name}.", remedy="Use one name in both places."
        )
    return found


def add(name: str, target: str, start: Path | None = None) -> Path:
    """Add a project to the nearest ``samovar.toml``, or to a new one in ``start``; comments in it are kept.

    Args:
        name: the project's name.
        target: ``file.py:attribute``; a relative file is relative to ``start``.
        start: None is the current folder.

    Returns:
        The file that was written.

    Raises:
        ProjectError: the file lists this name already.
        SettingsError: the file cannot be read or written.
    """
    import tomlkit  # noqa: PLC0415 - only this function writes TOML

    folder = (start or Path.cwd()).absolute()
    file = next((found for found, keys in _files(folder) if keys == ("projects",)), folder / FILE)
    where, colon, attribute = target.partition(":")
    if where.endswith(".py"):
        where = Path(os.path.relpath(folder / where, file.parent)).as_posix()
    document = tomlkit.parse(_read(file)) if file.exists() else tomlkit.document()
    table = document.setdefault("projects", tomlkit.table())
    if name in table:
        raise ProjectError(f"{file} lists {name} already.", remedy="Choose another name.")
    table[name] = f"{where}{colon}{attribute}"
    _replace(file, tomlkit.dumps(document))
    return file


def is_module(name: str) -> bool:
    """Whether Python finds another module under this name, which a project's file of that name would hide."""
    return name in sys.stdlib_module_names or (name not in _loaded and importlib.util.find_spec(name) is not None)


def _files(start: Path | None) -> list[tuple[Path, tuple[str, ...]]]:
    """Return the nearest ``samovar.toml`` and the nearest ``pyproject.toml`` that speaks of projects, in this order."""
    folder = (start or Path.cwd()).absolute()
    found: list[tuple[Path, tuple[str, ...]]] = []
    for name, keys in ((FILE, ("projects",)), ("pyproject.toml", ("tool", "samovar", "projects"))):
        file = next((parent / name for parent in (folder, *folder.parents) if (parent / name).is_file()), None)
        if file is not None:
            found.append((file, keys))
    return found


def _table(file: Path, keys: tuple[str, ...]) -> dict[str, str]:
    try:
        table: Any = tomllib.loads(_read(file))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{file} is not valid TOML: {error}.", remedy="Mend that line.") from None
    for key in keys:
        table = table.get(key, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not all(isinstance(target, str) for target in table.values()):
        raise SettingsError(f'{file}: [{".".join(keys)}] must hold lines like churn = "churn.py:churn".', remedy="Mend it.")
    return table


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file} cannot be read ({type(error).__name__}).", remedy="Check it and its permissions.") from None


def _replace(file: Path, text: str) -> None:
    """Write beside and rename, so that no half file is ever there."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise SettingsError(f"{file} cannot be written ({error.strerror}).", remedy="Check the folder's permissions.") from None


def _module(entry: Entry, where: str) -> ModuleType:
    path = (entry.folder / where).resolve() if entry.folder is not None and where.endswith(".py") else None
    if path is not None and not path.is_file():
        raise ProjectError(f"Project {entry.name}: there is no file {path}.", remedy=f"Mend the line in {FILE}.")
    folder = path.parent if path is not None else entry.folder
    if folder is not None and str(folder) not in sys.path:
        sys.path.append(str(folder))  # so that it can import its neighbours, also in the processes that train
    try:
        return importlib.import_module(where) if path is None else _module_of(path)
    except (KeyboardInterrupt, ProjectError):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever a user's file does, sys.exit() included, becomes one clear line
        raise _broken(entry, error, path) from None


def _module_of(path: Path) -> ModuleType:
    """Import a file under its own name, so that processes that train find its functions by that name."""
    name = path.stem
    if _loaded.get(name) == path and name in sys.modules:
        return sys.modules[name]
    if name not in _loaded and importlib.util.find_spec(name) is not None and _origin(name) != path:
        raise ProjectError(f"{path.name} has the name of another Python module.", remedy="Rename the file.")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _loaded[name] = path
    return module


def _origin(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).resolve() if spec is not None and spec.origin and spec.has_location else None


def _broken(entry: Entry, error: BaseException, path: Path | None) -> ProjectError:
    """Say file, line and error; the last frame inside the user's file is where a person looks first."""
    if isinstance(error, SyntaxError) and error.filename:
        place, what = f"{error.filename} line {error.lineno}", f"SyntaxError: {error.msg}"
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if path is None or frame.filename == str(path)]
        place = f"{frames[-1].filename} line {frames[-1].lineno}" if path is not None and frames else entry.where
        first_line = (str(error).splitlines() or [""])[0]
        what = f"{type(error).__name__}: {first_line}".rstrip(": ")
    return ProjectError(f"Project {entry.name} cannot be loaded: {place}: {what.rstrip('.')}.", remedy="Mend that line.")
