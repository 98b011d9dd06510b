/** `wrkr.work_item` (contract wrkr §h): what somebody has to do so that a stopped job can go on. Pure. */
import { ReeveError } from '../../model/errors.ts';
import type { JsonObject } from '../../model/json.ts';
import { Claims, sorted, texts } from '../claims.ts';
import { code, words } from './markdown.ts';

export interface WorkItemPayload {
  readonly schema_id: 'wrkr.work_item';
  readonly schema_version: 'v1';
  readonly created_at: string;
  readonly producer_version: string;
  readonly job_id: string;
  readonly checkpoint_id: string;
  readonly checkpoint_type: 'blocked' | 'decision-needed';
  readonly required_action: string;
  readonly reason_codes: readonly string[];
  readonly artifact_pointers?: readonly string[];
  readonly next_commands: readonly string[];
}

/** @param checkpoint a `wrkr.checkpoint`. @throws ReeveError E_INVALID_INPUT_SCHEMA for one that asks for nothing. */
export function workItemPayload(checkpoint: JsonObject): WorkItemPayload {
  const jobId = checkpoint['job_id'] as string;
  const id = checkpoint['checkpoint_id'] as string;
  const { type } = checkpoint;
  if (type !== 'blocked' && type !== 'decision-needed') {
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      `checkpoint ${id} is of type ${JSON.stringify(type)}: only blocked and decision-needed ones make a work item`,
      { job_id: jobId, checkpoint_id: id, value: type },
    );
  }
  const claims = new Claims();
  claims.add(checkpoint);
  const pointers = claims.all();
  return {
    schema_id: 'wrkr.work_item',
    schema_version: 'v1',
    created_at: checkpoint['created_at'] as string,
    producer_version: checkpoint['producer_version'] as string,
    job_id: jobId,
    checkpoint_id: id,
    checkpoint_type: type,
    required_action: requiredAction(checkpoint, type),
    reason_codes: sorted(texts(checkpoint['reason_codes']).filter((reason) => reason !== '')),
    ...(pointers.length === 0 ? {} : { artifact_pointers: pointers }),
    next_commands: [
      ...(type === 'decision-needed' ? [`wrkr approve ${jobId} --checkpoint ${id} --reason "approved"`] : []),
      `wrkr resume ${jobId}`,
      `wrkr export ${jobId}`,
      `wrkr accept run ${jobId} --json`,
    ],
  };
}

function requiredAction(checkpoint: JsonObject, type: WorkItemPayload['checkpoint_type']): string {
  const { kind, instructions } = (checkpoint['required_action'] ?? {}) as JsonObject;
  const said = texts([kind ?? null, instructions ?? null]).map((text) => text.trim());
  return said.find((text) => text !== '') ?? (type === 'decision-needed' ? 'approval' : 'resume');
}

export const TEMPLATES = ['github', 'jira'] as const;
export type Template = (typeof TEMPLATES)[number];

/** @throws ReeveError E_INVALID_INPUT_SCHEMA: the name becomes a part of a path, so only known ones are taken. */
export function requireTemplate(name: string): Template {
  const known = TEMPLATES.find((template) => template === name);
  if (known !== undefined) return known;
  throw new ReeveError(
    'E_INVALID_INPUT_SCHEMA',
    `unknown template ${JSON.stringify(name.slice(0, 100))}; known: ${TEMPLATES.join(', ')}`,
    { field: 'template', value: name.slice(0, 100) },
  );
}

/** The text of a ticket, with its last newline. */
export function workItemText(payload: WorkItemPayload, template: Template): string {
  const { job_id: job, checkpoint_id: id, checkpoint_type: type, required_action: action } = payload;
  const head = {
    github: [
      '# GitHub Work Item',
      '',
      `Job ${code(job)} checkpoint ${code(id)} (${code(type)}) requires ${code(action)}.`,
    ],
    jira: ['# JIRA Work Item', '', `Summary: ${code(`${job}/${id}`)} requires ${code(action)}`],
  }[template];
  const lines = [
    ...head,
    '',
    `Reason codes: ${payload.reason_codes.map(words).join(', ') || '(none)'}`,
    '',
    'Next commands:',
    ...payload.next_commands.map((command) => `- ${command}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}
