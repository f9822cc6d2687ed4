"""The forms of ``/invocations`` as raw tables: whatever JSON a client wrote, before any value is judged.

What is taken follows mlflow's scoring server. Rows of different lengths are refused, where pandas would fill them up in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.errors import RequestError
from samovar.scoring.forms.layout import ABSENT, Raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.forms.layout import Layout

_SPLIT = 'Expected {"columns": [...], "data": [[...], ...]}.'


def table(form: str, data: Any, layout: Layout) -> Raw:
    """Return the table of one form.

    Raises:
        RequestError: the data are no such form; the path names it.
    """
    return _FORMS[form](data, layout)


def _split(data: Any, _layout: Layout) -> Raw:
    path = "dataframe_split"
    if not isinstance(data, dict) or "data" not in data or data.keys() - {"columns", "index", "data"}:
        raise RequestError(_SPLIT, path=path)
    rows, labels, index = data["data"], data.get("columns"), data.get("index")
    if not isinstance(rows, list) or not (labels is None or _are_labels(labels)):
        raise RequestError(_SPLIT, path=path)
    if not (index is None or (isinstance(index, list) and len(index) == len(rows))):
        raise RequestError("The index and the data differ in length.", path=path)
    if rows and not any(isinstance(row, list | dict) for row in rows):  # one column may be a plain list, as in pandas
        rows = [[value] for value in rows]
    return _of_rows(rows, path, labels)


def _are_labels(labels: Any) -> bool:
    return isinstance(labels, list) and not any(isinstance(label, list | dict) for label in labels)


def _of_rows(rows: list[Any], path: str, labels: list[Any] | None = None) -> Raw:
    if not rows:
        raise RequestError("Expected at least one row.", path=path)
    width = len(labels) if labels is not None else len(rows[0]) if isinstance(rows[0], list) else 0
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != width:
            raise RequestError(f"Expected a list of {width} values.", path=f"{path}[{index}]")
    return Raw(labels if labels is not None else range(width), list(zip(*rows, strict=True)), len(rows))


def _records(data: Any, layout: Layout, path: str = "dataframe_records") -> Raw:
    if not isinstance(data, list):
        raise RequestError("Expected a list of records.", path=path)
    if not data:
        raise RequestError("Expected at least one row.", path=path)
    sent: dict[str, None] = {}
    for index, record in enumerate(data):
        if not isinstance(record, dict):
            raise RequestError("Expected a record, a JSON object.", path=f"{path}[{index}]")
        sent.update(dict.fromkeys(record))
    labels = [column.name for column in layout.columns if column.name in sent] if layout.named else list(sent)
    columns = [[record.get(label, ABSENT) for record in data] for label in labels]
    ragged = any(ABSENT in column for column in columns)
    return Raw(labels, columns, len(data), ragged)


def _instances(data: Any, layout: Layout) -> Raw:
    return _rows(data, layout, "instances")


def _inputs(data: Any, layout: Layout) -> Raw:
    if isinstance(data, dict):
        return _mapping(data, layout)
    return _rows(data if isinstance(data, list) else [data], layout, "inputs")


def _mapping(data: dict[str, Any], layout: Layout) -> Raw:
    """Columns by name; a single value counts for every row."""
    lists = [value for value in data.values() if isinstance(value, list)]
    if not lists:
        return _records([data], layout, "inputs")
    count = len(lists[0])
    if any(len(values) != count for values in lists):
        raise RequestError("The columns differ in length.", path="inputs")
    if not count:
        raise RequestError("Expected at least one row.", path="inputs")
    columns = [value if isinstance(value, list) else [value] * count for value in data.values()]
    return Raw(list(data), columns, count)


def _rows(data: Any, layout: Layout, path: str) -> Raw:
    """Lists: of records, of one column's values, or of rows."""
    if not isinstance(data, list) or not data:
        raise RequestError("Expected a list of rows.", path=path)
    if isinstance(data[0], dict):
        return _records(data, layout, path)
    if len(layout.columns) == 1 and not layout.matrix and not isinstance(data[0], list):
        return Raw([layout.columns[0].name or 0], [data], len(data))
    return _of_rows(data, path)


_FORMS: dict[str, Callable[[Any, Layout], Raw]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}
