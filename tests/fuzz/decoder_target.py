"""The fuzzer's target: everything that makes rows of bytes. The first byte says who reads the rest.

A reader may refuse, with an expectation and without the marker word that seeds and dictionary put into values and names. What it
takes must be columns of one length with values of their types; and what is read in one pass must be read the same the long way.
"""

import json
import math
import random
import sys
from dataclasses import replace
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["samovar.scoring.forms", "samovar.scoring.invocations", "samovar.contracts.decode"]):
    from samovar.contracts.decode import RowDecoder
    from samovar.scoring import invocations
    from samovar.scoring.forms import layout, tables
    from samovar.scoring.forms.reader import Reader
with atheris.instrument_imports(include=["samovar.serving.protocols.oip"]):
    from samovar.serving.protocols.oip import read as oip

import datetime as dt

from samovar.contracts.spec import ContractSpec, FieldSpec, ModelContract, ResponseSpec
from samovar.errors import RequestError
from samovar.scoring.plan import FORMAT, ScorerPlan, SignatureColumn, TensorInput

MARK = "SECRET"

SIGNATURE = tuple(
    SignatureColumn(kind[:2] + need, kind, need == "1")
    for kind in ("double", "float", "long", "integer", "boolean", "string", "datetime", "binary")
    for need in ("1", "0")
)
TAKEN = {
    "double": float,
    "float": float,
    "long": int,
    "integer": int,
    "boolean": bool,
    "string": str,
    "datetime": dt.datetime,
    "binary": bytes,
}
CONTRACT = ContractSpec(
    "Row",
    (
        FieldSpec("id", "str", role="key", max_length=8),
        FieldSpec("n", "int", ge=-3, le=9),
        FieldSpec("x", "float", gt=0, lt=1e6, nullable=True),
        FieldSpec("c", "str", choices=("a", "b")),
        FieldSpec("t", "datetime", required=False),
        FieldSpec("b", "bool", required=False),
    ),
)


def plan(signature=(), tensor=None):
    contract = ModelContract(ContractSpec("m", ()), ResponseSpec("r", ()))
    return ScorerPlan(FORMAT, "m", 1, "v1", "r", "d", "sklearn", True, {}, "m", contract, signature=signature, tensor=tensor)


class Found(Exception):
    """A promise is broken."""


def hold(promise, words):
    if not promise:
        raise Found(words)


def typed(columns, signature):
    rows = {len(column) for column in columns}
    hold(len(columns) == len(signature) and len(rows) == 1 and rows != {0}, "columns of one length")
    for column, spec in zip(columns, signature, strict=True):
        for value in column:
            if value is None:
                hold(spec.type in ("double", "float", "string", "datetime") or not spec.required, "null where it is not allowed")
                continue
            hold(type(value) is TAKEN[spec.type], "a value of another type")
            hold(spec.type != "integer" or -(2**31) <= value < 2**31, "32 bits")
            hold(spec.type != "long" or -(2**63) <= value < 2**63, "64 bits")


def same(left, right):
    pairs = [(a, b) for ours, other in zip(left, right, strict=True) for a, b in zip(ours, other, strict=True)]
    hold(all(type(a) is type(b) and (a == b or (a != a and b != b)) for a, b in pairs), "one pass and the long way differ")  # noqa: PLR0124


READER, MATRIX = Reader(plan(SIGNATURE)), Reader(plan(tensor=TensorInput("float32", (-1, 2))))
SINGLE = Reader(plan((SignatureColumn("text", "string"),)))
DECODER = RowDecoder(CONTRACT)


def read_json(reader):
    def read(body):
        quick = None
        try:
            quick = reader.exact(body)
        finally:
            parsed = reader.general(invocations.parse_json(body))
            typed(parsed.columns, reader.layout.columns)
            if quick is not None:
                same(quick.columns, parsed.columns)

    return read


def read_csv(body):
    typed(READER.csv(body).columns, SIGNATURE)


def read_one(body):
    kept(DECODER.one(body))


def read_many(body):
    for row in DECODER.many(body):
        kept(row)


def kept(row):
    hold(-3 <= row["n"] <= 9 and type(row["n"]) is int and row["c"] in ("a", "b") and len(row["id"]) <= 8, "the contract's bounds")
    hold(row["x"] is None or (0 < row["x"] < 1e6 and math.isfinite(row["x"])), "the contract's numbers")
    hold(row["t"] is None or row["t"].tzinfo is dt.UTC, "times in UTC")


def read_inference(body):
    length, _, body = body.partition(b"\n")
    headers = {oip.LENGTH: length} if length else {}
    typed(oip.read(body, headers, READER.layout)[1], SIGNATURE)


READERS = [read_json(READER), read_json(MATRIX), read_json(SINGLE), read_csv, read_one, read_many, read_inference]


def target(data):
    if not data:
        return
    try:
        READERS[data[0] % len(READERS)](data[1:])
    except RequestError as error:
        hold(MARK not in f"{error} {error.path}", "a submitted value is repeated")
        hold("xpected" in str(error) or " " in error.message, "no sentence")


# --- planted bugs: what the fuzzer must find ------------------------------------------------------------------------------------


def plant(name):
    if name == "bounds":  # one integer too many

        def value(given):
            if type(given) is not int or not -(2**63) <= given <= 2**63:
                raise ValueError
            return given

        change("long", value)
    elif name == "echo":  # the refusal repeats the value

        def refuse(self, k, values, read):
            raise RequestError(f"Expected something else than {values[0]}.", path=self.columns[k].name)

        layout.Layout._refuse = refuse
    elif name == "crash":  # a CSV table without rows
        right = tables.table

        def table(text):
            return right(text) if text.splitlines()[1] else None

        tables.table = table
    elif name == "null":  # a gap becomes zero the long way only
        change("double", lambda given: float(given or 0))


def change(kind, value):
    own = READER.layout
    pairs = zip(own.columns, own.kinds, strict=True)
    own.kinds = tuple(replace(known, value=value) if column.type == kind and column.required else known for column, known in pairs)


# --- mutation: bytes of JSON seldom stay JSON by chance ---------------------------------------------------------------------------

VALUES = [None, True, False, 0, -1, 2.5, 3.0, 1e308, math.nan, math.inf, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 10**30, "", MARK]
GOOD: list[bytes] = []
VALUES += ["2026-01-01", "2026-01-01T00:00:00.5+02:00", "YQ==", "\ud800", "ü", [], {}, [1, [2]], {MARK: 1}]


def mutate(data, max_size, seed):
    """Change a cell, a key or the length of a list of a JSON body; leave other bodies, and some of these, to libFuzzer.

    Every second time a good body is changed, lest the corpus become all fragments.
    """
    dice = random.Random(seed)
    if GOOD and dice.random() < 0.5:
        data = dice.choice(GOOD)
    reader, body = data[:1], data[1:]
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return atheris.Mutate(data, max_size)
    places = list(nodes(document))
    if not places or dice.random() < 0.2:
        return atheris.Mutate(data, max_size)
    for _ in range(dice.randint(1, 2)):
        edit(*dice.choice(places), dice)
    return (reader + json.dumps(document).encode())[:max_size]


def nodes(value):
    """Yield every container with each of its keys or positions."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from nodes(value[key])


def edit(container, key, dice):
    try:
        match dice.randint(0, 5):
            case 0:
                del container[key]
            case 1 if isinstance(container, list):
                container.insert(key, container[key])
            case 1:
                container[MARK] = container[key]
            case _:
                container[key] = dice.choice(VALUES)
    except (LookupError, TypeError):
        pass  # an earlier edit took the place away


if __name__ == "__main__":
    for option in [option for option in sys.argv if option.startswith("--plant=")]:
        sys.argv.remove(option)
        plant(option.partition("=")[2])
    GOOD += [path.read_bytes() for folder in sys.argv[1:2] for path in sorted(Path(folder).iterdir())]
    atheris.Setup(sys.argv, target, custom_mutator=mutate)
    atheris.Fuzz()
