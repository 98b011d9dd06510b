/** What operators ask about agents (contract agents §2.2). */
import type { Route } from '../../http.ts';
import { AGENT_LIST, AGENT_VIEW } from '../wire/agents.ts';
import { LIMIT_DEFAULT, NAME, PAGE_QUERY } from '../wire/common.ts';
import { invalidField, notFound } from '../wire/errors.ts';
import type { Agents } from './agents.ts';
import type { Board } from './board/board.ts';
import { callerOf } from './callers.ts';

interface DirectoryRoutesOptions {
  readonly agents: Agents;
  readonly board: Board;
}

export function directoryRoutes({ agents, board }: DirectoryRoutesOptions): readonly Route[] {
  const drain = (verb: 'drain' | 'resume', summary: string): Route => ({
    method: 'POST',
    path: `/agents/{agent_id}/${verb}`,
    operation: `${verb}Agent`,
    summary,
    body: { schema: NO_FIELDS, required: false },
    responses: { 200: { description: 'The agent', schema: AGENT_VIEW } },
    async handle(request) {
      const by = callerOf(request, 'operator');
      const id = request.params['agent_id'] ?? '';
      const view = await agents.setDrained(by, id, verb === 'drain');
      board.wakeAgent(by.tenant, id);
      return { json: view };
    },
  });
  return [
    {
      method: 'GET',
      path: '/agents',
      operation: 'listAgents',
      summary: 'Agents of the tenant, by id.',
      query: PAGE_QUERY,
      responses: { 200: { description: 'Agents', schema: AGENT_LIST } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const limit = (request.query['limit'] as number | undefined) ?? LIMIT_DEFAULT;
        const after = afterOf(request.query['cursor'] as string | undefined);
        const rest = agents.list(tenant).filter(({ agent_id }) => agent_id > after);
        const page = rest.slice(0, limit);
        const last = page.at(-1)?.agent_id ?? '';
        const next = rest.length > limit ? { next_cursor: Buffer.from(last).toString('base64url') } : {};
        return { json: { agents: page, ...next } };
      },
    },
    {
      method: 'GET',
      path: '/agents/{agent_id}',
      operation: 'getAgent',
      summary: 'One agent.',
      responses: { 200: { description: 'The agent', schema: AGENT_VIEW } },
      async handle(request) {
        const { tenant } = callerOf(request, 'operator');
        const id = request.params['agent_id'] ?? '';
        const view = agents.get(tenant, id);
        if (view === undefined) throw notFound('agent', id);
        return { json: view };
      },
    },
    {
      method: 'DELETE',
      path: '/agents/{agent_id}',
      operation: 'deleteAgent',
      summary: 'Forgets an agent: its token is worth nothing any more, and what it holds runs out.',
      responses: { 204: { description: 'It is gone', schema: 'none' } },
      async handle(request) {
        const by = callerOf(request, 'operator');
        const id = request.params['agent_id'] ?? '';
        await agents.remove(by, id);
        board.wakeAgent(by.tenant, id); // its polls end
        return { status: 204, empty: true };
      },
    },
    drain('drain', 'It gets no new tasks; what it runs goes on.'),
    drain('resume', 'It gets tasks again.'),
  ];
}

const NO_FIELDS = { type: 'object', additionalProperties: false, properties: {} } as const;

/** @throws AgentsFailure 422 */
function afterOf(cursor: string | undefined): string {
  if (cursor === undefined) return '';
  const id = Buffer.from(cursor, 'base64url').toString('latin1');
  if (!new RegExp(NAME.pattern).test(id)) throw invalidField('cursor', 'was not given out here');
  return id;
}
