/** Decides by statements: a Deny wins wherever it stands, then the first Allow, else it is denied (contract arp §6). Pure. */
import { ReeveError } from '../../model/errors.ts';
import type { PolicyEngine, PolicyRequest, Verdict } from './engine.ts';
import { policyHash } from './hash.ts';
import { lookUp } from './lookup.ts';
import { parsePolicy, textsOf, type Condition, type Policy, type Statement } from './parse.ts';

/** @throws ReeveError E_INVALID_INPUT_SCHEMA */
export function statementEngine(text: string): PolicyEngine {
  const policy = parsePolicy(parsed(text));
  return {
    language: 'statements',
    hash: policyHash(text),
    ...(policy.version === undefined ? {} : { version: policy.version }),
    size: policy.statements.length,
    decide: (request) => decide(policy, request),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', 'the policy is no JSON', { problem: 'is no JSON' });
  }
}

/** Says of a statement which value it cannot be held against. */
class Incomparable extends Error {
  readonly key: string;
  constructor(key: string) {
    super(`the context has an object at ${key}, which cannot be compared`);
    this.key = key;
  }
}

function decide({ statements }: Policy, request: PolicyRequest): Verdict {
  let applicable: readonly Statement[];
  try {
    applicable = statements.filter((statement) => applies(statement, request));
  } catch (error) {
    if (!(error instanceof Incomparable)) throw error;
    return { decision: 'deny', reason: 'invalid_policy', message: error.message, statements: [] };
  }
  const denying = applicable.find(({ effect }) => effect === 'deny');
  const deciding = denying ?? applicable[0];
  if (deciding === undefined) return { decision: 'deny', reason: 'default_deny', statements: [] };
  const { effect, sid, number } = deciding;
  return {
    decision: effect,
    reason: `explicit_${effect}`,
    ...(sid === undefined ? {} : { message: sid }),
    statements: [number],
  };
}

function applies(statement: Statement, { action, resource, context }: PolicyRequest): boolean {
  return (
    statement.actions.some((fits) => fits(action)) &&
    statement.resources.some((fits) => fits(resource)) &&
    statement.conditions.every((condition) => holds(condition, context))
  );
}

/** A key that is not there does not hold. */
function holds({ key, tests }: Condition, context: PolicyRequest['context']): boolean {
  const actual = textsOf(lookUp(context, key));
  if (actual === undefined) throw new Incomparable(key);
  return actual.some((text) => tests.some((fits) => fits(text)));
}
