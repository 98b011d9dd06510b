/** Runs of ARP for a person: one run, its events, its tree. Pure: what is shown, the time and the width come in. */
import type { StreamedEvent } from '../../doors/arp/clients/runs-client.ts';
import type { InternalNodeRun, InternalRun } from '../../doors/arp/wire/runs.ts';
import { errorOf, type RunTreeNode } from '../arp/run-tree.ts';
import type { Style } from './colour.ts';
import { table, type Column } from './table.ts';
import { styled, type Line, type Span } from './text.ts';
import { ago, duration } from './time.ts';

const STATE_STYLES: Readonly<Record<string, Style>> = {
  queued: 'dim',
  assigned: 'dim',
  running: 'cyan',
  succeeded: 'green',
  failed: 'red',
  canceled: 'yellow',
};
const TREE_COLUMNS: readonly Column[] = [
  { title: 'NODE TYPE', min: 16 },
  { title: 'STATE' },
  { title: 'TIME', align: 'right' },
  { title: 'NODE RUN', min: 8 },
];
/** Below this width, columns, types say more than ids. */
const WITH_IDS = 72;
const TYPE_WIDTH = 'candidate_set_generated'.length;
const SEQ_WIDTH = 3;

function stateSpan(state: string): Span {
  return styled(state, STATE_STYLES[state] ?? 'plain');
}

/** @param root undefined where whom we asked tells of no NodeRuns. */
export function runLines(run: InternalRun, root: InternalNodeRun | undefined, nowMs: number): Line[] {
  const error = root === undefined ? undefined : errorOf(root);
  const type = root?.node_type_ref;
  const facts = [
    ...(type === undefined ? [] : [`${type.node_type_id}@${type.version}`]),
    ...timeFacts(run, nowMs),
    ...tenantOf(run),
  ];
  return [
    [styled(run.run_id, 'bold'), '  ', stateSpan(run.state)],
    ...(facts.length === 0 ? [] : [[styled(facts.join(' · '), 'dim')]]),
    ...(error === undefined ? [] : [errorLine('', error)]),
    ...(root?.outputs === undefined ? [] : [['outputs: ', JSON.stringify(root.outputs)]]),
    ...(root?.output_artifacts ?? []).map(({ id, uri }): Line => ['artifact: ', id, ' ', uri ?? '']),
  ];
}

function timeFacts({ started_at: started, ended_at: ended }: InternalRun, nowMs: number): string[] {
  const startedMs = Date.parse(started ?? '');
  if (Number.isNaN(startedMs)) return [];
  const endedMs = Date.parse(ended ?? '');
  const took = Number.isNaN(endedMs)
    ? `running for ${duration(nowMs - startedMs)}`
    : `took ${duration(endedMs - startedMs)}`;
  return [took, `started ${ago(startedMs, nowMs)}`];
}

function tenantOf({ run_context: context }: InternalRun): string[] {
  return context?.tenant_id === undefined ? [] : [`tenant ${context.tenant_id}`];
}

/** One line of a stream: number, time, type, what it says, and of which NodeRun. */
export function eventLine({ seq, type, time, node_run_id: id, data = {} }: StreamedEvent): Line {
  const clock = /T(\d\d:\d\d:\d\d)/.exec(time ?? '')?.[1] ?? '--:--:--';
  const said = summaryOf(type, data);
  return [
    styled(String(seq).padStart(SEQ_WIDTH), 'dim'),
    ' ',
    styled(clock, 'dim'),
    ' ',
    type.padEnd(TYPE_WIDTH),
    ...(said === '' ? [] : ['  ', spanOf(type, said, data)]),
    ...(id === undefined ? [] : ['  ', styled(shortId(id), 'dim')]),
  ];
}

function spanOf(type: string, said: string, data: Readonly<Record<string, unknown>>): Span {
  if (type === 'atomic_executed' || type === 'run_completed') return stateSpan(said);
  const isBad = data['decision'] === 'deny' || data['status'] === 'fail';
  return isBad ? styled(said, 'red') : said;
}

function summaryOf(type: string, data: Readonly<Record<string, unknown>>): string {
  const texts = (...names: readonly string[]): string =>
    names.flatMap((name) => (typeof data[name] === 'string' ? [data[name]] : [])).join(' ');
  switch (type) {
    case 'run_started':
      return '';
    case 'node_run_assigned':
      return data['root'] === true ? 'root' : `below ${shortId(texts('parent_node_run_id'))}`;
    case 'policy_decided':
      return texts('action', 'decision', 'reason_code', 'message');
    case 'composite_decomposed':
      return data['node_run_count'] === 1 ? '1 NodeRun' : `${String(data['node_run_count'])} NodeRuns`;
    case 'subtask_mapped': {
      const ref = data['chosen_node_type_ref'] as { node_type_id?: string; version?: string } | undefined;
      return `${texts('subtask_id')} to ${ref?.node_type_id ?? ''}@${ref?.version ?? ''}`;
    }
    case 'candidate_set_generated':
      return texts('candidate_set_id');
    case 'node_evaluated':
      return texts('status', 'reason_code', 'message');
    case 'recovery_applied':
      return texts('type', 'message');
    case 'atomic_executed':
    case 'run_completed':
      return texts('state');
    default:
      return Object.keys(data).length === 0 ? '' : JSON.stringify(data);
  }
}

/** What the services make themselves are 32 hex digits: eight tell them apart. Other ids stay whole. */
function shortId(id: string): string {
  return id.replace(/^(node_run_[0-9a-f]{8})[0-9a-f]{24}$/, '$1');
}

/** A row for each NodeRun; an error stands below its NodeRun. */
export function treeLines(root: RunTreeNode, nowMs: number, width: number): Line[] {
  const rows: { readonly cells: readonly Span[]; readonly error: Line | undefined }[] = [];
  const add = (node: RunTreeNode, before: string, branch: string, below: string): void => {
    const rail = node.children.length > 0 ? '│ ' : '  ';
    rows.push({
      cells: [
        `${before}${branch}${typeText(node)}`,
        stateSpan(node.state),
        timeText(node, nowMs),
        styled(shortId(node.node_run_id), 'dim'),
      ],
      error: node.error === undefined ? undefined : errorLine(`${before}${below}${rail}`, node.error),
    });
    for (const [at, child] of node.children.entries()) {
      const isLast = at === node.children.length - 1;
      add(child, `${before}${below}`, isLast ? '└─ ' : '├─ ', isLast ? '   ' : '│  ');
    }
  };
  add(root, '', '', '');
  const [header = [], ...lines] = table(
    width < WITH_IDS ? TREE_COLUMNS.slice(0, -1) : TREE_COLUMNS,
    rows.map(({ cells }) => cells),
    width,
  );
  return [
    header,
    ...lines.flatMap((line, at) => {
      const error = rows[at]?.error;
      return error === undefined ? [line] : [line, error];
    }),
  ];
}

function typeText({ node_type_id: id, version }: RunTreeNode): string {
  return id === undefined ? '(type not told)' : `${id}@${version ?? ''}`;
}

function timeText({ duration_ms: ms, started_at: started, ended_at: ended }: RunTreeNode, nowMs: number) {
  if (ms !== undefined) return duration(ms);
  const startedMs = Date.parse(started ?? '');
  return Number.isNaN(startedMs) || ended !== undefined ? '-' : `${duration(nowMs - startedMs)}…`;
}

function errorLine(indent: string, { code, message }: { code: string; message: string }): Line {
  return [indent, styled(`${code}: ${message}`, 'red')];
}
