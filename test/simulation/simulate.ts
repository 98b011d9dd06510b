import { simulate } from './simulation.ts';
const [from = '1', count = '20'] = process.argv.slice(2);
const t = performance.now();
let steps = 0, checks=0, bad = 0, faults=0;
const types: Record<string, number> = {}; const ends: Record<string, number> = {};
const rules: Record<string, number> = {};
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const o = await simulate(seed);
  steps += o.steps; checks += o.checks; faults += o.faults;
  for (const [k, v] of Object.entries(o.eventTypes)) types[k] = (types[k] ?? 0) + v;
  for (const e of o.ends) ends[e] = (ends[e] ?? 0) + 1;
  if (o.violation) { bad++; const m = o.violation.message.slice(0, 110).replace(/\d+/g,'#'); rules[m] = (rules[m] ?? 0) + 1; if (Number(count) < 4) { console.log(o.trace.join('\n')); console.log(seed, o.violation.stack) } else console.log(seed, o.violation.message.slice(0, 260)); }
}
const s = (performance.now() - t) / 1000;
console.log({ steps, perSeed: steps / Number(count), checks, faults, bad, s, perSecond: steps / s, types, ends, rules });
