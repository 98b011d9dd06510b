/**
 * Named places where a crash test kills this very process with SIGKILL. `REEVE_STOP_AT=<name>#<n>` stops at the n-th
 * time that the place is reached (`#1` may be left out). Without the variable a place costs one comparison.
 *
 * - `commit:before`, `commit:after`: around each transaction; after it nobody has been answered yet.
 * - `effect:intended`: an attempt is on record and nothing of it has begun.
 * - `effect:submitted`: it has been handed to its executor.
 * - `effect:ended`: its end has been seen and not recorded.
 * - `effect:recorded`: its end is on record and the executor still keeps its own.
 * - `directory:before`, `directory:after`: around each writing of a job directory.
 * - `agent:taken`: a polling agent was handed a task; `agent:begun`: it has said so, and will look after it again.
 * - `agent:ran`: the run has ended; `agent:spooled`: its result is in the spool; `agent:file`: a file of it was uploaded.
 * - `agent:uploaded`: all files were; `agent:recorded`: the result is at the control plane, and still in the spool.
 */
export type StopPoint =
  | 'commit:before'
  | 'commit:after'
  | 'effect:intended'
  | 'effect:submitted'
  | 'effect:ended'
  | 'effect:recorded'
  | 'directory:before'
  | 'directory:after'
  | 'agent:taken'
  | 'agent:begun'
  | 'agent:ran'
  | 'agent:spooled'
  | 'agent:file'
  | 'agent:uploaded'
  | 'agent:recorded';

const [wanted, count = '1'] = (process.env['REEVE_STOP_AT'] ?? '').split('#');
let left = Number(count);

export function stopPoint(name: StopPoint): void {
  if (name !== wanted) return;
  left -= 1;
  if (left === 0) process.kill(process.pid, 'SIGKILL');
}
