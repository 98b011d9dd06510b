/** Holds documents to their schemas, and to what a schema cannot say. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { ReeveError } from '../../model/errors.ts';
import { compileArguments } from './arguments.ts';
import {
  ALLOW_LIST_SCHEMA,
  APPROVAL_SCHEMA,
  SIGNED_ALLOW_LIST_SCHEMA,
  SIGNED_APPROVAL_SCHEMA,
  type AllowListDocument,
  type DestructiveApproval,
  type Signed,
} from './schema.ts';

const ajv = new Ajv2020({ allowUnionTypes: true });
const compiled = new WeakMap<object, ValidateFunction>();

/** To be signed. @throws ReeveError E_INVALID_INPUT_SCHEMA {field} */
export function requireAllowList(value: unknown): AllowListDocument {
  requireFit(ALLOW_LIST_SCHEMA, value);
  const document = value as AllowListDocument;
  requireSense(document, '');
  // Whoever signs should see what is wrong with a schema; who reads compiles the one that is needed.
  for (const [index, { args_schema: schema }] of document.entries.entries())
    if (schema !== undefined) compileArguments(schema, `/entries/${index}/args_schema`);
  return document;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field} */
export function requireSignedAllowList(value: unknown): Signed<AllowListDocument> {
  requireFit(SIGNED_ALLOW_LIST_SCHEMA, value);
  const envelope = value as Signed<AllowListDocument>;
  requireSense(envelope.document, '/document');
  return envelope;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field} */
export function requireApproval(value: unknown): DestructiveApproval {
  requireFit(APPROVAL_SCHEMA, value);
  const approval = value as DestructiveApproval;
  timeMs(approval.expires_at, '/expires_at');
  return approval;
}

/** @throws ReeveError E_INVALID_INPUT_SCHEMA {field} */
export function requireSignedApproval(value: unknown): Signed<DestructiveApproval> {
  requireFit(SIGNED_APPROVAL_SCHEMA, value);
  const envelope = value as Signed<DestructiveApproval>;
  timeMs(envelope.document.expires_at, '/document/expires_at');
  return envelope;
}

/** Of a time as the schema has it, milliseconds. @throws ReeveError E_INVALID_INPUT_SCHEMA for a day that does not exist. */
export function timeMs(time: string, field: string): number {
  const ms = Date.parse(time);
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== time.replace('Z', '.000Z'))
    throw invalid(field, 'is no time that exists', time);
  return ms;
}

function requireSense(document: AllowListDocument, at: string): void {
  const { issued_at: issued, expires_at: expires, entries } = document;
  if (timeMs(issued, `${at}/issued_at`) >= timeMs(expires, `${at}/expires_at`))
    throw invalid(`${at}/expires_at`, 'must be after issued_at', expires);
  const seen = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const field = `${at}/entries/${index}`;
    if (entry.expires_at !== undefined) timeMs(entry.expires_at, `${field}/expires_at`);
    const what = entry.kind === 'skill' ? `skill ${entry.name}@${entry.version}` : `command ${entry.digest}`;
    if (seen.has(what)) throw invalid(field, `lists ${what} a second time`, what);
    seen.add(what);
  }
}

function requireFit(schema: object, value: unknown): void {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = ajv.compile(schema);
    compiled.set(schema, validate);
  }
  if (validate(value)) return;
  // Of `if`, `anyOf` and the like the first error is the one that says something.
  const { instancePath = '', message = 'is not what it should be', params = {} } = validate.errors?.[0] ?? {};
  const extra: unknown = params['additionalProperty'];
  if (typeof extra === 'string') throw invalid(`${instancePath}/${extra}`, 'is no known field');
  throw invalid(instancePath, message);
}

function invalid(field: string, problem: string, value?: unknown): ReeveError {
  return new ReeveError('E_INVALID_INPUT_SCHEMA', `${field === '' ? 'the document' : field} ${problem}`, {
    field,
    problem,
    ...(value === undefined ? {} : { value }),
  });
}
