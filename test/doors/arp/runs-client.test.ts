// Events as a client gets them from coordinators of every kind, also bad ones (contract arp §2, D4).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test as base } from 'vitest';
import { runsClient, type RunsClient } from '../../../src/doors/arp/clients/runs-client.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A coordinator that answers one request after the other as it is told; the last answer is for all that follow. */
class Scripted {
  readonly paths: string[] = [];
  readonly #server: Server;

  constructor(answers: readonly Answer[]) {
    this.#server = createServer((request, response) => {
      this.paths.push(request.url ?? '');
      answers[Math.min(this.paths.length, answers.length) - 1]?.(request, response);
    });
  }
  async open(): Promise<RunsClient> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    return runsClient({ baseUrl: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` });
  }
  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

// oxlint-disable-next-line no-empty-pattern -- a fixture names what it builds on, here nothing
const test = base.extend('scripted', async ({}, { onCleanup }) => {
  const opened: Scripted[] = [];
  onCleanup(() => {
    for (const each of opened) each.close();
  });
  return (...answers: Answer[]): Scripted => {
    const coordinator = new Scripted(answers);
    opened.push(coordinator);
    return coordinator;
  };
});

const event = (seq: number, type = 'node_evaluated'): string => JSON.stringify({ run_id: 'r', seq, type });
const lines = (...events: readonly string[]): string => events.map((text) => `${text}\n`).join('');
const says =
  (text: string): Answer =>
  (_request, response) =>
    void response.end(text);
const never = new AbortController().signal;

async function seqs(client: RunsClient, follow: boolean, after = 0): Promise<number[]> {
  const found: number[] = [];
  for await (const { seq } of client.events('r', { after, follow }, never)) found.push(seq);
  return found;
}

test('a followed stream that was cut off goes on where it was, and nothing comes twice', async ({
  scripted,
}) => {
  const cutOff: Answer = (_request, response) => {
    response.write(lines(event(1), event(2)).slice(0, -5), () => response.destroy());
  };
  const coordinator = scripted(cutOff, says(lines(event(1), event(2), event(3, 'run_completed'), event(4))));
  expect(await seqs(await coordinator.open(), true)).toEqual([1, 2, 3]);
  expect(coordinator.paths).toEqual([
    '/v1/runs/r/events?follow=1',
    '/v1/runs/r/events?cursor=MQ%3D%3D&follow=1',
  ]);
});

test('lines in one JSON string, without a last end, with empty ones between, and split anywhere', async ({
  scripted,
}) => {
  const text = lines(event(1), '', event(2), event(3, 'größer'));
  expect(await seqs(await scripted(says(JSON.stringify(text))).open(), false)).toEqual([1, 2, 3]);
  expect(await seqs(await scripted(says(text.trimEnd())).open(), false, 1)).toEqual([2, 3]);
  expect(await seqs(await scripted(says('')).open(), false)).toEqual([]);
  const bytes = Buffer.from(text);
  const inPieces: Answer = (_request, response) => {
    const write = (at: number): void => {
      if (at === bytes.length) response.end();
      else response.write(bytes.subarray(at, at + 1), () => setImmediate(write, at + 1));
    };
    write(0);
  };
  expect(await seqs(await scripted(inPieces).open(), false)).toEqual([1, 2, 3]);
});

test('a coordinator that does not follow is asked until the run is over', async ({ scripted }) => {
  const run = (state: string): Answer => says(JSON.stringify({ run_id: 'r', state, root_node_run_id: 'n' }));
  const coordinator = scripted(
    says(lines(event(1))),
    says(lines(event(1))),
    run('running'),
    says(lines(event(1), event(2))),
    says(''),
    run('canceled'),
  );
  expect(await seqs(await coordinator.open(), true)).toEqual([1, 2]);
});

test('what is no event, no stream, or refused is an error, also while following', async ({ scripted }) => {
  const failing = async (answer: Answer): Promise<unknown> => {
    const client = await scripted(answer).open();
    return seqs(client, true).catch((error: unknown) => error);
  };
  expect(await failing(says('{"seq":"1","type":"x"}\n'))).toMatchObject({
    reason: expect.stringMatching(/no event/),
  });
  expect(await failing(says('null\n'))).toMatchObject({ reason: expect.stringMatching(/no event/) });
  expect(await failing(says('"a'))).toMatchObject({ reason: expect.stringMatching(/neither lines nor/) });
  const refused: Answer = (_request, response) => {
    response.statusCode = 404;
    response.end('{"error":{"code":"run_not_found","message":"gone"}}');
  };
  expect(await failing(refused)).toMatchObject({ status: 404, wireCode: 'run_not_found' });
  const other: Answer = (_request, response) => {
    response.statusCode = 404;
    response.end('<html>');
  };
  expect(await failing(other)).toMatchObject({ answered: 404, retryable: false });
});

test('whoever stops reading ends the connection', async ({ scripted }) => {
  const closed = Promise.withResolvers<void>();
  const open: Answer = (_request, response) => {
    response.on('close', () => closed.resolve());
    response.write(lines(event(1)));
  };
  const client = await scripted(open).open();
  for await (const { seq } of client.events('r', { after: 0, follow: true }, never)) {
    expect(seq).toBe(1);
    break;
  }
  await closed.promise;
});
