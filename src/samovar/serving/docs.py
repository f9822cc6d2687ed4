"""The page at ``/docs``: what the endpoint takes and answers, and a form to try it. No asset comes from elsewhere."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import msgspec

from samovar.contracts.words import expected
from samovar.serving.openapi import example_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig

HEADERS = (
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"),
    (b"x-content-type-options", b"nosniff"),
)

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c;background:#fff}
h1{font-size:1.5rem;margin-bottom:0}h2{font-size:1.1rem;margin-top:2rem}p.sub{color:#666;margin-top:.2rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #ddd;
vertical-align:top}
code,textarea,pre{font:14px/1.45 ui-monospace,monospace}textarea{width:100%;box-sizing:border-box;padding:.6rem}
pre{background:#f5f5f2;padding:.8rem;overflow:auto}button{font:inherit;padding:.35rem 1rem;margin-top:.4rem}
@media(prefers-color-scheme:dark){body{color:#e8e8e8;background:#181818}pre,textarea{background:#242424;color:inherit}
th,td{border-color:#444}p.sub{color:#aaa}a{color:#8ab4f8}}
"""

_SCRIPT = """
document.getElementById("go").onclick=async()=>{const out=document.getElementById("out");const box=document.getElementById("body");
const t=performance.now();try{const r=await fetch(box.dataset.path,{method:"POST",headers:{"content-type":"application/json"},
body:box.value});const text=await r.text();let shown=text;try{shown=JSON.stringify(JSON.parse(text),null,2)}
catch(e){}

out.textContent=r.status+" in "+Math.round(performance.now()-t)+" ms\\n"+shown}catch(e){
out.textContent="The endpoint did not answer."}};
"""


def page(plan: ScorerPlan, config: EndpointConfig) -> bytes:
    """Return the page."""
    title = html.escape(f"{config.model}@{config.alias}")
    path, body = _first_call(plan)
    text = f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{_STYLE}</style>
<h1>{title}</h1><p class="sub">version {html.escape(plan.label)} &middot; <a href="openapi.json">openapi.json</a> &middot;
<a href="metrics">metrics</a> &middot; <a href="version">version</a></p>
{_contract(plan)}
<h2>Try it: <code>POST {path}</code></h2>
<textarea id="body" rows="8" spellcheck="false" data-path="{path.lstrip("/")}">{html.escape(body)}</textarea>
<button id="go">Send</button><pre id="out">The answer appears here.</pre>
<h2>Routes</h2><table>{_routes(plan)}</table><script>{_SCRIPT}</script></html>"""
    return text.encode()


def _first_call(plan: ScorerPlan) -> tuple[str, str]:
    if plan.contract.contract.fields:
        return "/predict", _pretty(example_row(plan))
    if plan.example:
        return "/invocations", _pretty({"dataframe_records": [plan.example[0]]})
    return "/invocations", plan.probe.decode() if plan.probe else '{"inputs": []}'


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _contract(plan: ScorerPlan) -> str:
    rows = [(field.name, expected(field), field.description) for field in plan.contract.contract.fields]
    if not rows:
        return "<p>The model has no signature with named columns: ask it through <code>/invocations</code>.</p>"
    answers = [(field.name, field.dtype, field.description) for field in plan.contract.response.fields]
    return f"<h2>A row</h2><table>{_table(rows)}</table><h2>An answer</h2><table>{_table(answers)}</table>"


def _table(rows: Sequence[tuple[str, str, str]]) -> str:
    return "".join(
        f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(kind)}</td><td>{html.escape(text)}</td></tr>"
        for name, kind, text in rows
    )


def _routes(plan: ScorerPlan) -> str:
    routes = [
        ("POST /invocations", "MLflow's protocol", "dataframe_split, dataframe_records, instances, inputs, or text/csv"),
        ("POST /v2/models/.../infer", "Open Inference Protocol v2", "one input a column, or one matrix"),
        ("GET /ping, /health", "probes", ""),
        ("GET /version", "which version answers", ""),
        ("GET /metrics", "Prometheus", ""),
    ]
    if plan.contract.contract.fields:
        routes = [("POST /predict", "one row", ""), ("POST /batch_predict", 'a list of rows, or {"rows": [...]}', ""), *routes]
    return _table(routes)
