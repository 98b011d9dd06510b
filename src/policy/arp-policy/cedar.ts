/**
 * Cedar as a policy language. What a request becomes:
 *
 *     principal  Actor::"<type>/<id>" of run_context.actor, with `type`, `id`, `tenant_id`; else Actor::"unknown"
 *     action     Action::"run.start", Action::"node.run.execute"
 *     resource   NodeType::"<id>" with the fields of `node_type` (`kind`, `version`, `jarvis` …), or Run::"<id>"
 *     context    the same context as for statements
 *
 * Cedar has no null and no fractions: nulls are left out, and numbers that are not whole and exact become texts. A policy
 * that fails while it is evaluated denies (Cedar alone would skip it, and a forbid would let through).
 */
import { createHash } from 'node:crypto';
import type { CedarValueJson, EntityJson, Policy, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type * as CedarModule from '@cedar-policy/cedar-wasm/nodejs';
import { ReeveError } from '../../model/errors.ts';
import type { PolicyEngine, PolicyRequest, Verdict } from './engine.ts';

type Cedar = typeof CedarModule;
type Fields = Readonly<Record<string, unknown>>;

interface Named {
  readonly number: number;
  readonly name: string | undefined;
}

/** Loads Cedar, 13 MB, on first use. @throws ReeveError E_INVALID_INPUT_SCHEMA */
export async function cedarEngine(text: string): Promise<PolicyEngine> {
  const cedar = await import('@cedar-policy/cedar-wasm/nodejs');
  const policies = policiesOf(cedar, text);
  const staticPolicies = Object.fromEntries(policies.map((policy, at) => [String(at + 1), policy] as const));
  const names = policies.map((policy, at): Named => ({ number: at + 1, name: nameOf(cedar, policy) }));
  return {
    language: 'cedar',
    hash: createHash('sha256').update(text).digest('hex'),
    size: policies.length,
    decide: (request) => decide(cedar, staticPolicies, names, request),
  };
}

/** In the order of the file; Cedar orders them by ids of its own. */
function policiesOf(cedar: Cedar, text: string): readonly string[] {
  const parts = cedar.policySetTextToParts(text);
  if (parts.type === 'failure') {
    const [first] = parts.errors;
    const at = first?.sourceLocations?.[0]?.start;
    const place = at === undefined ? '' : ` at byte ${at}`;
    throw new ReeveError('E_INVALID_INPUT_SCHEMA', `the policy is not valid: ${first?.message}${place}`, {
      problem: first?.message ?? 'is no Cedar',
    });
  }
  if (parts.policy_templates.length > 0)
    throw new ReeveError(
      'E_INVALID_INPUT_SCHEMA',
      'the policy is not valid: templates have nothing to fill them',
      {
        problem: 'has templates',
      },
    );
  return parts.policies.toSorted((a, b) => text.indexOf(a) - text.indexOf(b));
}

function nameOf(cedar: Cedar, policy: Policy): string | undefined {
  const answer = cedar.policyToJson(policy);
  return answer.type === 'success' ? answer.json.annotations?.['id'] : undefined;
}

function decide(
  cedar: Cedar,
  staticPolicies: Record<string, Policy>,
  names: readonly Named[],
  request: PolicyRequest,
): Verdict {
  const entities = entitiesOf(request);
  const answer =
    entities === undefined
      ? undefined
      : cedar.isAuthorized({
          principal: entities.principal.uid,
          action: { type: 'Action', id: request.action },
          resource: entities.resource.uid,
          context: entities.context,
          policies: { staticPolicies },
          entities: [entities.principal, entities.resource],
        });
  if (answer === undefined) return invalid('the context uses a key that Cedar keeps for itself');
  if (answer.type === 'failure') return invalid(answer.errors[0]?.message ?? 'Cedar refused the request');
  const { decision, diagnostics } = answer.response;
  const [failed] = diagnostics.errors;
  if (failed !== undefined) return invalid(`policy ${failed.policyId}: ${failed.error.message}`);
  const deciding = names.filter(({ number }) => diagnostics.reason.includes(String(number)));
  if (deciding.length === 0) return { decision: 'deny', reason: 'default_deny', statements: [] };
  const message = deciding.flatMap(({ name }) => (name === undefined ? [] : [name])).join(', ');
  return {
    decision,
    reason: `explicit_${decision}`,
    ...(message === '' ? {} : { message }),
    statements: deciding.map(({ number }) => number),
  };
}

function invalid(message: string): Verdict {
  return { decision: 'deny', reason: 'invalid_policy', message, statements: [] };
}

interface CedarEntity extends EntityJson {
  uid: TypeAndId;
}

/** Undefined: the request holds something that Cedar would take for a reference or a function. */
function entitiesOf({ resource, context }: PolicyRequest) {
  if (hasReserved(context)) return undefined;
  const about = context['node_type'];
  const isNodeType = resource.startsWith('node_type:');
  const runContext = fieldsIn(context, 'run_context');
  const { type, id } = fieldsIn(runContext, 'actor');
  const tenant = runContext['tenant_id'];
  const isKnown = typeof type === 'string' && typeof id === 'string';
  return {
    principal: entity('Actor', isKnown ? `${type}/${id}` : 'unknown', {
      ...(isKnown ? { type, id } : {}),
      ...(typeof tenant === 'string' ? { tenant_id: tenant } : {}),
    }),
    resource: isNodeType
      ? entity('NodeType', resource.slice('node_type:'.length), record(about))
      : entity('Run', resource.replace(/^run:/, ''), {}),
    context: record(context),
  };
}

function entity(type: string, id: string, attrs: Record<string, CedarValueJson>): CedarEntity {
  return { uid: { type, id }, attrs, parents: [] };
}

function fieldsIn(value: Fields, key: string): Fields {
  const found = Object.hasOwn(value, key) ? value[key] : undefined;
  return typeof found === 'object' && found !== null ? (found as Fields) : {};
}

function hasReserved(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(
    ([key, item]) => key === '__entity' || key === '__extn' || hasReserved(item),
  );
}

function record(value: unknown): Record<string, CedarValueJson> {
  const fields = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return Object.fromEntries(
    fields.flatMap(([key, item]) => (item === null || item === undefined ? [] : [[key, cedarValue(item)]])),
  );
}

function cedarValue(value: unknown): CedarValueJson {
  switch (typeof value) {
    case 'boolean':
    case 'string':
      return value;
    case 'number':
      return Number.isSafeInteger(value) ? value : String(value);
    default:
      return Array.isArray(value) ? value.filter((item) => item !== null).map(cedarValue) : record(value);
  }
}
