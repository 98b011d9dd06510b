/** The style sheet of a report. Colours are told apart by lightness and by shape too, and keep AA contrast in both schemes. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#595f69;--line:#e3e4e1;--rail:#eceeeb;--accent:#1f5f99;--accent-soft:#dbe7f2;--wait:#8a5a00;--wait-bg:#f7e7c4;--bad:#b3261e;--bad-bg:#fbe5e1;--stop:#5d636d;--code:#f3f4f1}
@media (prefers-color-scheme:dark){:root{--bg:#16181b;--card:#1d2024;--ink:#e8e9ea;--soft:#a3a9b3;--line:#33373d;--rail:#2a2e33;--accent:#7db7ec;--accent-soft:#21384d;--wait:#e8b95a;--wait-bg:#43351a;--bad:#ff9a8d;--bad-bg:#4a2622;--stop:#a5abb5;--code:#262a2f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:2.5rem 1.5rem 4rem;max-width:66rem;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
code{font:.86em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
p{margin:.35rem 0}
a{color:var(--accent)}
a:focus-visible,input:focus-visible,summary:focus-visible{outline:2px solid var(--accent);outline-offset:3px;border-radius:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--card);padding:.5rem 1rem}
.quiet{color:var(--soft);font-size:.875rem}
.hash{overflow-wrap:anywhere;color:var(--soft)}
.eyebrow{margin:0;color:var(--soft);font-size:.8125rem;letter-spacing:.02em}
.title{display:flex;flex-wrap:wrap;align-items:center;gap:.25rem 1rem}
h1{margin:0;font-size:2rem;line-height:1.25;font-weight:650;letter-spacing:-.015em}
h2{margin:0 0 1rem;font-size:1.1875rem;line-height:1.3;font-weight:620;letter-spacing:-.005em}
.id{margin:.5rem 0 0;color:var(--soft);font-size:.9375rem}
.id code{color:var(--ink)}
.objective{margin-top:1rem;max-width:44rem;font-size:1.0625rem}
.status{margin:.2rem 0 0;padding:.15rem .7rem;border-radius:99px;border:1px solid currentColor;font-size:.875rem;font-weight:600;white-space:nowrap}
.s-completed,.s-running{color:var(--accent)}.s-paused,.s-blocked_decision,.s-blocked_budget{color:var(--wait)}.s-blocked_error{color:var(--bad)}.s-canceled,.s-queued{color:var(--stop)}
.why{margin-top:1rem;padding:.6rem .9rem;border-left:3px solid var(--wait);background:var(--card)}
.why b{display:block;font-size:.875rem}
.facts{display:flex;flex-wrap:wrap;gap:1.25rem 2.75rem;margin:1.75rem 0 0}
.facts dt{color:var(--soft);font-size:.8125rem}
.facts dd{margin:.1rem 0 0;font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.proof{margin:2rem 0 0;padding:1rem 1.25rem;border:1px solid var(--line);border-radius:10px;background:var(--card);font-size:.9375rem}
.verdict b{margin-right:.4rem}.verdict.yes b{color:var(--accent)}.verdict.no{color:var(--bad)}
.proof:has(.no){border-color:var(--bad)}
.pairs{margin:.5rem 0 0}
.pairs div{display:grid;grid-template-columns:8.5rem 1fr;gap:1rem;padding:.15rem 0;font-size:.9375rem}
.pairs dt{color:var(--soft)}.pairs dd{margin:0}
nav{margin:2rem 0 0;padding:.7rem 0;border-top:1px solid var(--line);border-bottom:1px solid var(--line);font-size:.875rem}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:0;padding:0;list-style:none}
nav a{text-decoration:none}nav a:hover{text-decoration:underline}
section{margin:3rem 0 0;scroll-margin-top:1rem}
table{width:100%;border-collapse:collapse;font-size:.9375rem}
th{text-align:left;font-weight:500}
thead th{color:var(--soft);font-size:.8125rem;padding:0 1rem .4rem 0}
caption{text-align:left;padding:0 0 .6rem}
.list td,.list tbody th{padding:.42rem 1rem .42rem 0;border-top:1px solid var(--line);vertical-align:top}
.list time,.list td:first-child{white-space:nowrap;font-variant-numeric:tabular-nums}
.events tr>:nth-child(3){width:60%}
.gantt{table-layout:fixed}
.gantt thead th:first-child{width:21%}.gantt thead th:last-child{width:25%}
.gantt tbody th,.gantt td{padding:.18rem 1rem .18rem 0;vertical-align:middle;line-height:1.35}
.gantt td:last-child{padding-right:0;font-size:.875rem;color:var(--soft);font-variant-numeric:tabular-nums}
.gantt .worker th,.gantt .worker td{padding-bottom:.7rem}
.gantt .many th{font-weight:400;color:var(--soft)}
.d1{padding-left:1rem}.d2{padding-left:2rem}.d3,.d4{padding-left:3rem}
.track{display:block;overflow:visible}.free{overflow:visible}
.rail{stroke:var(--rail);stroke-width:1}
.axis text{font-size:11px;fill:var(--soft)}
.b-ok{fill:var(--accent)}.b-bad{fill:var(--bad-bg);stroke:var(--bad);stroke-width:1.5}.b-stop{fill:var(--stop);opacity:.75}.b-open{fill:none;stroke:var(--accent);stroke-width:1.5;stroke-dasharray:3 2}.b-many{fill:var(--accent);opacity:.45}
.p-running{fill:var(--accent-soft)}.p-waiting{fill:var(--wait-bg);stroke:var(--wait);stroke-width:.75}.p-unattended{fill:none;stroke:var(--soft);stroke-dasharray:2 3}
.lease{fill:var(--stop);opacity:.45}
.zigzag{fill:none;stroke:var(--wait);stroke-width:1.25}.cross{stroke:var(--bad);stroke-width:2.25}.crash{stroke:var(--bad);stroke-width:1;stroke-dasharray:2 2}
.r-ok{color:var(--accent);font-weight:600}.r-bad,.bad{color:var(--bad);font-weight:600}.r-stop{color:var(--stop);font-weight:600}.r-open{color:var(--soft)}
.error{display:block;color:var(--bad);font-size:.8125rem}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;margin:.8rem 0 0;padding:0;list-style:none;font-size:.8125rem;color:var(--soft)}
.legend svg{vertical-align:-2px;margin-right:.25rem;overflow:visible}
.checkpoints{margin:0;padding:0;list-style:none}
.checkpoints li{padding:.7rem 0 .7rem 1rem;border-left:2px solid var(--line)}
.checkpoints .c-plain .type{font-weight:400}.checkpoints .c-decision{border-left-color:var(--accent)}.checkpoints .c-blocked{border-left-color:var(--wait)}
.checkpoints p{margin:.15rem 0;max-width:48rem}
.checkpoints .c-plain{display:grid;grid-template-columns:20rem 1fr;gap:0 1rem;align-items:baseline;padding:.22rem 0 .22rem 1rem}
.meta{display:flex;flex-wrap:wrap;gap:.1rem .9rem;color:var(--soft);font-size:.8125rem}
.meta .type{font-weight:600;color:var(--ink)}
.answer b{color:var(--accent);margin-right:.3rem}.answer.open b{color:var(--wait)}
.answer time{color:var(--soft);font-size:.8125rem}
.answer q{display:block;quotes:"“" "”";font-style:italic}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(18rem,1fr));gap:1.75rem 2rem;margin:0;padding:0;list-style:none}
.curves .head{display:flex;gap:.6rem;align-items:baseline;font-size:.9375rem;margin-bottom:.35rem}
.curves span{color:var(--soft);font-variant-numeric:tabular-nums}.curves em{margin-left:auto;font-style:normal;font-size:.8125rem;color:var(--soft)}
.curves b::first-letter{text-transform:uppercase}
.curves svg{display:block;border-bottom:1px solid var(--line)}
.area{fill:var(--accent-soft)}.line{fill:none;stroke:var(--accent);stroke-width:2;vector-effect:non-scaling-stroke}
.limit{fill:none;stroke:var(--soft);stroke-width:1;stroke-dasharray:4 3;vector-effect:non-scaling-stroke}
.near .line{stroke:var(--wait)}.near .area{fill:var(--wait-bg)}.near em{color:var(--wait);font-weight:600}
.over .line{stroke:var(--bad)}.over .area{fill:var(--bad-bg)}.over em{color:var(--bad);font-weight:600}
summary{cursor:pointer;font-weight:500}
.filter{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:1rem 0;padding:0;border:0;font-size:.875rem}
.filter legend{float:left;margin-right:1.1rem;color:var(--soft);padding:0}
.filter input{accent-color:var(--accent);margin:0 .25rem 0 0;vertical-align:-1px}
${['steps', 'decisions', 'checkpoints', 'worker', 'status', 'records']
  .map((group) => `#events:has(.f-${group}:checked) tbody tr:not(.e-${group},.gap)`)
  .join(',')}{display:none}
.gap td{padding:.9rem 0;text-align:center;color:var(--soft);font-style:italic}
.how{margin:0;padding-left:1.25rem;max-width:48rem}.how li{padding:.2rem 0}
.how code:not(.hash){background:var(--code);padding:.1rem .35rem;border-radius:4px}
.json{color:var(--soft)}
footer{margin:4rem 0 0;padding-top:1rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem}
@media (max-width:44rem){
.checkpoints .c-plain{grid-template-columns:1fr;padding:.4rem 0 .4rem 1rem}
body{padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem}
.facts{display:grid;grid-template-columns:repeat(2,1fr);gap:1rem}
.facts dd{font-size:1.0625rem}
.pairs div{grid-template-columns:1fr;gap:0;padding:.3rem 0}
.gantt,.gantt tbody{display:block}.gantt caption{display:block}.gantt thead{position:absolute;left:-99rem}
.gantt tr{display:grid;grid-template-columns:minmax(6rem,1fr) minmax(0,max-content);gap:0 1rem;padding:.35rem 0}
.gantt td,.gantt tbody th{display:block;padding:0}
.gantt th{grid-row:1}.gantt td:nth-child(2){grid-row:2;grid-column:1/-1}.gantt td:last-child{grid-row:1;text-align:right}
.gantt .worker td{padding-bottom:.4rem}
.error{text-align:right}
.axis .wide{display:none}
.curves{grid-template-columns:1fr}
.list,.list tbody{display:block}.list thead{position:absolute;left:-99rem}
.list tr{display:flex;flex-wrap:wrap;gap:0 .8rem;padding:.5rem 0;border-top:1px solid var(--line)}
.list td,.list tbody th,.events tr>:nth-child(3){border:0;padding:0;width:auto}
.events tr>:nth-child(3){flex-basis:100%;order:3}
.gap td{flex-basis:100%}
}
@media print{
:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#444}
body{max-width:none;padding:0;font-size:10.5pt}
nav,.skip,.filter{display:none}
section{margin-top:1.6rem}
h2,.meta{break-after:avoid}tr,.checkpoints li,.curves li{break-inside:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto}
}
`;
