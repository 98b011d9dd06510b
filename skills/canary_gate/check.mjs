// Whether a canary answers as it should. Each attempt is a request of its own that ends in time.

import { request as overHttp } from 'node:http';
import { request as overHttps } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { CannotCheck, skill } from '#skill';

const BODY_BYTES_MAX = 1024 * 1024;
/** The name server does not know, or cannot be asked: nothing is known about the canary then. */
const UNRESOLVED = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL']);

/** @returns {Promise<{status: number, body: string, ms: number}>} once the body is there. @throws what went wrong */
function ask(url, timeoutMs) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const started = performance.now();
  const open = url.protocol === 'https:' ? overHttps : overHttp;
  const headers = { 'user-agent': 'canary_gate', connection: 'close' };
  const request = open(url, { headers, agent: false }, (response) => {
    const chunks = [];
    let bytes = 0;
    const done = () => {
      const body = Buffer.concat(chunks).toString('utf8');
      resolve({ status: response.statusCode, body, ms: performance.now() - started });
      request.destroy();
    };
    response.on('data', (chunk) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) done();
    });
    response.on('end', done);
    response.on('error', reject);
  });
  request.on('error', reject);
  const timer = setTimeout(() => {
    reject(Object.assign(new Error(`no whole answer within ${timeoutMs} ms`), { isLate: true }));
    request.destroy();
  }, timeoutMs);
  request.end();
  return promise.finally(() => clearTimeout(timer));
}

/** @returns {Promise<{id: string, message: string} | undefined>} what is wrong */
async function attempt(ctx, url, where) {
  const { expect, contains } = ctx.args;
  const maxMs = ctx.args['max-ms'];
  let answer;
  try {
    answer = await ask(url, ctx.args['timeout-ms']);
  } catch (error) {
    if (UNRESOLVED.has(error.code))
      throw new CannotCheck(where, `its host cannot be resolved: ${error.code}`);
    if (error.isLate) return { id: 'timeout', message: error.message };
    if (error.code?.startsWith('HPE_'))
      return { id: 'not_http', message: `does not speak HTTP: ${error.code}` };
    return { id: 'unreachable', message: `cannot be reached: ${error.code ?? error.message}` };
  }
  const ms = Math.round(answer.ms);
  ctx.metric('status', answer.status);
  ctx.metric('ms', ms);
  if (!expect.split(',').map(Number).includes(answer.status)) {
    return { id: 'wrong_status', message: `answers ${answer.status}, not ${expect}` };
  }
  if (maxMs !== undefined && answer.ms > maxMs) {
    return { id: 'too_slow', message: `answers in ${ms} ms: over ${maxMs}` };
  }
  if (contains !== undefined && !answer.body.includes(contains)) {
    return { id: 'wrong_body', message: 'answers without the text that it should have' };
  }
  ctx.ok(where, `answers ${answer.status} in ${ms} ms`);
  return undefined;
}

/** Without a password and a query, which may be secret. */
function shown(url) {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

await skill({
  url: import.meta.url,
  positionals: ['url'],
  help: {
    url: 'what to ask; empty: there is no canary, and the check is skipped',
    expect: 'status codes that are right, with commas between; redirections are not followed',
    'max-ms': 'how long the answer may take',
    attempts: 'how often it is asked until the answer is right',
    'interval-ms': 'time between attempts',
    'timeout-ms': 'when an attempt is given up',
    contains: 'text that the answer must hold',
  },
  async check(ctx) {
    if (ctx.args.url === '') ctx.skip('no URL is given: there is no canary');
    if (!URL.canParse(ctx.args.url)) throw new CannotCheck('url', 'cannot be understood');
    const url = new URL(ctx.args.url);
    const where = shown(url);
    const { attempts } = ctx.args;
    let wrong;
    for (let n = 1; n <= attempts; n++) {
      if (n > 1) await delay(ctx.args['interval-ms']);
      wrong = await attempt(ctx, url, where);
      ctx.metric('attempts', n);
      if (wrong === undefined) return;
    }
    const message = `${wrong.message} (${attempts} attempts)`;
    ctx.fail(wrong.id, { where, message, severity: 'critical' });
  },
});
