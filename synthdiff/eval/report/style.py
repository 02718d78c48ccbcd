"""The page's style sheet."""

from __future__ import annotations

CSS = """
:root { --ink: #1a1a1a; --soft: #505050; --line: #d4d4d4; --wash: #f6f7f8;
  --good: #00664b; --warn: #8a5a00; --bad: #a34700; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", Arial, sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.35rem; margin: 3rem 0 .6rem; padding-top: .8rem;
  border-top: 2px solid var(--ink); break-after: avoid; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 .4rem; break-after: avoid; }
p, ul { margin: .5rem 0 .8rem; max-width: 44rem; }
ul { padding-left: 1.2rem; } li { margin: .25rem 0; }
a { color: #00568a; }
code { font: .92em ui-monospace, "DejaVu Sans Mono", Consolas, monospace; overflow-wrap: anywhere; }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 2rem; margin: 0; padding: 0; }
.facts div { display: flex; gap: .45rem; max-width: 100%; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 1.6rem 0 0; font-size: .9rem; }
.tiles { display: grid; grid-template-columns: repeat(2, 1fr); gap: 1rem; margin: 1.8rem 0 0; }
.tile { border: 1px solid var(--line); border-top: 5px solid var(--soft); border-radius: 4px;
  padding: .9rem 1.1rem 1rem; break-inside: avoid; }
.tile.good { border-top-color: var(--good); } .tile.bad { border-top-color: var(--bad); }
.tile.warn { border-top-color: var(--warn); }
.tile h2 { margin: 0; padding: 0; border: 0; font-size: .95rem; color: var(--soft);
  font-weight: 600; }
.tile h2 b { display: block; color: var(--ink); font-size: 1.05rem; }
.tile p { margin: .3rem 0 0; font-size: .92rem; }
.tile .value { font-size: 1.75rem; line-height: 1.25; font-weight: 700; margin: .15rem 0 0;
  font-variant-numeric: tabular-nums; }
.tile.good .value { color: var(--good); } .tile.bad .value { color: var(--bad); }
.tile.warn .value { color: var(--warn); }
.tile .beside { color: var(--ink); font-variant-numeric: tabular-nums; }
.tile .direction { color: var(--soft); }
.gauge { display: block; width: 100%; max-width: 26rem; margin: .5rem 0 .2rem; }
.gauge text { font-size: 11px; fill: #505050; }
.scroll { overflow-x: auto; margin: .8rem 0 1.2rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding: 0 0 .5rem; max-width: 44rem; }
th, td { padding: .36rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; }
th:first-child, td:first-child { padding-left: .2rem; }
thead th { white-space: normal; border-bottom: 1.5px solid var(--ink);
  vertical-align: bottom; line-height: 1.3; }
tbody th { text-align: left; font-weight: 600; overflow-wrap: anywhere; min-width: 9rem; }
tbody th, td.text, td.why { white-space: normal; }
th.text, td.text { text-align: left; } td.text { overflow-wrap: anywhere; }
td.why { text-align: left; color: var(--warn); }
td strong { white-space: nowrap; }
strong.good { color: var(--good); } strong.warn { color: var(--warn); }
strong.bad { color: var(--bad); }
.dense :is(thead, tbody) { font-size: .8rem; } .dense :is(th, td) { padding-inline: .4rem; }
.dense tbody th { min-width: 6rem; }
.compact :is(th, td) { padding-block: .16rem; }
.compact tbody th { min-width: 17rem; }
tr { break-inside: avoid; }
figure { margin: 1rem 0 1.4rem; break-inside: avoid; }
figure img { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 44rem; margin-top: .4rem; }
.grid { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1.2rem 1.1rem; }
.grid.pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.grid figure { margin: 0; display: flex; flex-direction: column; }
.grid figcaption { order: -1; margin: 0 0 .1rem; font-size: .84rem; line-height: 1.35; }
.grid figcaption b { display: block; color: var(--ink); overflow-wrap: anywhere; }
.grid img { width: 100%; margin-top: auto; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.6rem; padding: 0; list-style: none;
  font-size: .9rem; }
.key svg { width: 44px; height: 12px; margin-right: .4rem; }
.note { background: var(--wash); border-left: 4px solid var(--soft); padding: .6rem 1rem; }
.note.sharing { max-width: none; margin: 1.4rem 0 0; }
.terms { margin: 1rem 0 0; font-size: .9rem; } .terms div { margin: .2rem 0; }
.terms :is(dt, dd) { display: inline; } .terms dt { font-weight: 600; color: var(--ink); }
.terms dt::after { content: ": "; }
h4 { font-size: .95rem; margin: 1.4rem 0 .3rem; break-after: avoid; }
.note.bad { border-left-color: var(--bad); } .note.good { border-left-color: var(--good); }
.note.warn { border-left-color: var(--warn); }
@media screen and (max-width: 46rem) { .tiles { grid-template-columns: 1fr; }
  .grid { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media print { body { font-size: 10pt; } main { max-width: none; padding: 0; }
  .tile { padding: .6rem .9rem; }
  nav { display: none; } .scroll { overflow: visible; } td { white-space: normal; }
  h2 { margin-top: 1.6rem; } }
"""
