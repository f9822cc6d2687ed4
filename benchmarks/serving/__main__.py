"""``python -m benchmarks.serving``: train, log, serve, load, compare, write. docs/BENCHMARKS.md explains what and why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serving import bodies, checks, environments, load, options, plain, processes, summary
from benchmarks.serving.measure import Bench, Series, cold_start
from benchmarks.serving.servers import ONE_THREAD, FastApi, MlflowServe, Samovar, ask, eventually, registry

from benchmarks import figures

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.serving.options import Options
    from benchmarks.serving.servers import Server

WORK = figures.ROOT / "build/bench/serving"
HERE = Path(__file__).parent


class Setting:
    """Everything that must stand before anything is measured: models, registry, servers."""

    def __init__(self, asked: Options, stack: ExitStack) -> None:
        self.asked = asked
        self.cores = processes.cores()
        os.sched_setaffinity(0, self.cores.load)
        self.pythons = _pythons(asked)
        self.folder = WORK / ("quick" if asked.quick else "models")
        self._train()
        say("starting MLflow's server, logging the models")
        program, self.tracking = registry(self.pythons["train"], WORK / f"registry-{os.getpid()}", self.cores.load)
        stack.callback(_remove, program)
        subprocess.run(
            [self.pythons["train"], str(HERE / "log.py"), str(self.folder)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "MLFLOW_TRACKING_URI": self.tracking, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )
        self.models = {name: bodies.read(self.folder, name) for name in asked.models}

    def _train(self) -> None:
        done = self.folder / "trained"
        recipe = (HERE / "train.py").read_bytes() + (environments.PINS / "train.txt").read_bytes()
        if done.exists() and done.read_bytes() == recipe:
            return
        say("training the reference models (once)")
        quick = ["--quick"] if self.asked.quick else []
        subprocess.run([self.pythons["train"], str(HERE / "train.py"), str(self.folder), *quick], check=True)
        done.write_bytes(recipe)

    def serve(self, stack: ExitStack) -> list[Series]:
        """Start every server and return the lines of the table, each model's servers side by side."""
        say("starting the servers")
        ours = {"samovar": {}, "samovar-pyfunc": {"SAMOVAR_COMPILE": "off"}}
        # Two stacks on one machine: the second begins to look for ports elsewhere.
        own_ports = {"SAMOVAR_AUTOSERVE_PORT": "8690", "SAMOVAR_ENDPOINT_PORT_BASE": "8700"}
        stacks: dict[str, Server] = {}
        for name, settings in ours.items():
            server = Samovar(self.tracking, self.cores.server, self.asked.models, settings | (own_ports if settings else {}))
            stack.callback(server.stop)
            stacks[name] = server
        found = []
        for model in self.asked.models:
            servers: dict[str, Server] = dict(stacks) if model == "fraud" else {"samovar": stacks["samovar"]}
            if self.asked.competitors:
                for make in (self.mlflow, self.fastapi):
                    server = make(model)
                    stack.callback(server.stop)
                    servers[server.name] = server
            found += [self._series(name, server, model) for name, server in servers.items()]
        for series in found:
            path, render = series.target.one
            body = render(series.model, series.model.rows[:1])
            eventually(lambda at=series.target.address, to=path, it=body: ask(at, to, it)[0] == 200, 120, f"{series.name} answers")
        return found

    def mlflow(self, model: str) -> Server:
        """Start `mlflow models serve`."""
        return MlflowServe(self.pythons["mlflow"], self.folder, model, self.cores.server)

    def fastapi(self, model: str) -> Server:
        """Start the hand-written server."""
        return FastApi(self.pythons["fastapi"], self.folder, model, self.cores.server)

    def _series(self, name: str, server: Server, model: str) -> Series:
        target, content = server.target(model), self.models[model]
        render = target.one[1]
        path = self.folder / "bodies" / f"{model}-{render.__name__}.txt"
        if not path.exists():
            bodies.write_lines(path, [render(content, [row]) for row in content.rows])
        return Series(name, server, content, path, target)


def main() -> int:
    """Measure everything and write the figures; the exit code is 1 when an answer was wrong or a good request failed."""
    asked = options.read()
    generator = load.require()
    began = time.perf_counter()
    with ExitStack() as stack:
        setting = Setting(asked, stack)
        series = setting.serve(stack)
        bench = Bench(setting.cores, series)
        answers = _answers(bench, asked)
        bench.measure_idle()
        _loads(bench, asked)
        _bare(bench, setting)
        poison = _poison(bench, asked)
        for one in series:
            bench.memory(one)
        engines = {name: dict(one.server.engines) for name, one in {s.name: s for s in series if s.ours}.items()}
    _cold(bench, setting)
    wrong = sum(found["wrong"] for name, found in answers.items() if name.startswith(summary.OURS))
    wrong += sum(found["good_failed"] for found in poison.values())
    document = {
        "ratios": summary.ratios(bench.samples),
        "ratio_spreads": summary.ratio_spreads(bench.samples),
        "spreads": {name: summary.spread(values) for name, values in sorted(bench.samples.items())},
        "runs": asked.runs,
        "answers": answers,
        "poison": poison,
        "failed": {name: count for name, count in bench.failed.items() if count},
        "engines": engines,
        "notes": bench.notes,
        "load_generator": generator,
        "versions": {name: environments.versions(setting.pythons[name], *_PACKAGES[name]) for name in _PACKAGES},
        "seconds": round(time.perf_counter() - began, 1),
    }
    path = figures.write(asked.target, summary.measured(bench.samples), **document)
    say(f"wrote {path.relative_to(figures.ROOT)} after {document['seconds']:.0f} s")
    return 1 if wrong else 0


_PACKAGES = {"mlflow": ["mlflow", "scikit-learn", "uvicorn"], "fastapi": ["fastapi", "scikit-learn", "uvicorn"]}


def _pythons(asked: Options) -> dict[str, str]:
    names = ("train", "mlflow", "fastapi")
    return {name: sys.executable if asked.quick else environments.python(name) for name in names}


def _remove(program: Any) -> None:
    program.stop()
    shutil.rmtree(program.log.parent, ignore_errors=True)


def _answers(bench: Bench, asked: Options) -> dict[str, dict[str, int]]:
    found = {}
    for series in bench.everyone:
        say(f"comparing answers: {series.name} {series.model.name}")
        indices = range(0, len(series.model.rows), len(series.model.rows) // asked.sampled)
        found[f"{series.name}.{series.model.name}"] = checks.compare(series.target, series.model, indices)
        if series.name == summary.OURS:
            compared = checks.compare_probabilities(series.target.address, series.model, indices)
            found[f"{series.name}.{series.model.name}.probabilities"] = compared
    return found


def _loads(bench: Bench, asked: Options) -> None:
    large = {id(one): bodies.batches(one.model, one.target.many[1], 4) for one in bench.everyone}
    for run in range(asked.runs):
        order = bench.everyone if summary.forward(run) else bench.everyone[::-1]
        names = [one.model.name for one in order]
        for model in dict.fromkeys(names):
            for connections, seconds in asked.seconds.items():
                for one in order:
                    if one.model.name == model:
                        say(f"run {run + 1}/{asked.runs}: {model} at {one.name}, {connections} connections")
                        bench.load(one, connections, seconds, warm=run == 0 and not asked.quick)
            for one in order:
                if one.model.name == model:
                    say(f"run {run + 1}/{asked.runs}: {model} at {one.name}, 10,000 rows")
                    count = asked.large[model]
                    chosen = [large[id(one)][(run * count + number) % 4] for number in range(count)]
                    bench.large(one, chosen)


def _bare(bench: Bench, setting: Setting) -> None:
    """Keep what the model's own batched `predict` costs, and what the endpoint without the compiler takes above it."""
    served = bench.samples.get("samovar-pyfunc.fraud.tree_cpu_us_c64", [])
    for run, microseconds in enumerate(served):
        say(f"run {run + 1}/{len(served)}: the bare model")
        argv = [
            *processes.pinned(bench.cores.server),
            setting.pythons["train"],
            str(HERE / "bare.py"),
            str(setting.folder),
            "fraud",
        ]
        argv = [*processes.pinned(bench.cores.server), *argv]
        said = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, **ONE_THREAD})
        bench.samples["native.fraud.bare_predict_us"].append(float(said.stdout))
        bench.samples["samovar-pyfunc.fraud.overhead_us_c64"].append(microseconds - float(said.stdout))


def _poison(bench: Bench, asked: Options) -> dict[str, dict[str, int]]:
    found = {}
    for series in bench.everyone:
        if not series.ours:
            continue
        say(f"poison: {series.name} {series.model.name}")
        bench.stage(series)
        path = bodies.write_lines(series.files.parent / f"{series.model.name}-poison.txt", bodies.poison(series.model))
        found[f"{series.name}.{series.model.name}"] = checks.beside_poison(
            series.target, series.files, path, load.Shape(64, max(asked.seconds.values()), bench.cores.load)
        )
    return found


def _cold(bench: Bench, setting: Setting) -> None:
    name = "fraud" if "fraud" in setting.models else next(iter(setting.models))
    model = setting.models[name]
    plan = setting.folder / f"{name}.plan"
    built = plain.build_plan(setting.folder, name, plan, dict(os.environ))
    bench.samples[f"samovar.{name}.plan_build_s"].append(built)
    starts: dict[str, Callable[[], Server]] = {"samovar": lambda: plain.Plain(plan, setting.cores.server)}
    if setting.asked.competitors:
        starts |= {"mlflow": lambda: setting.mlflow(name), "fastapi": lambda: setting.fastapi(name)}
    for run in range(setting.asked.runs):
        order = list(starts.items()) if summary.forward(run) else list(starts.items())[::-1]
        for server, start in order:
            say(f"run {run + 1}/{setting.asked.runs}: cold start of {server}")
            seconds, megabytes = cold_start(start, model)
            bench.samples[f"{server}.{name}.cold_start_s"].append(seconds)
            bench.samples[f"{server}.{name}.pss_mb"].append(megabytes)


def say(text: str) -> None:
    """Show progress."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
