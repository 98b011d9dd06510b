import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect } from 'vitest';
import { htmlReport } from '../../src/evidence/html/page.ts';
import { TimeScale } from '../../src/evidence/html/scale.ts';
import { readStory } from '../../src/evidence/read-story.ts';
import type { RunStory } from '../../src/evidence/story.ts';
import { PackJob } from './pack-job.ts';
import { referencePack, test, write } from './support.ts';

async function storyOf(dir: string, job: PackJob): Promise<RunStory> {
  const { path } = await write(dir, job.source(), `${job.jobId}.zip`);
  return readStory(path, 'verify');
}

/** Says what is missing, not all of the page. */
function has(page: string, text: string): void {
  expect(page.includes(text), text).toBe(true);
}

/** Text that would do something wherever it is not escaped. @param url is asked for when it does. */
function hostile(url: string): string {
  const act = `document.title='pwned';fetch('${url}')`;
  return `</script></style></title><script>${act}</script><img src="${url}" onerror="${act}">"'><svg onload="${act}"></svg>\u202e\u0007&amp;\`\${1}`;
}

function hostileJob(url: string): PackJob {
  const text = hostile(url);
  const steps = [
    { id: `a ${text}`.slice(0, 150), summary: text, command: 'true', artifacts: [`out/${text}`] },
    { id: 'judge', summary: text, executed: false, decision_needed: true, required_action: 'approval' },
    { id: 'end', summary: text, command: 'true' },
  ];
  const job = new PackJob('job_h', steps).toDecision();
  const asked = job.events.find(
    ({ event }) => event.type === 'checkpoint_emitted' && event.checkpoint === 'decision-needed',
  );
  job.must({ type: 'approve', checkpoint: asked?.seq ?? 0, by: text, reason: text });
  job.note({ [text]: text });
  return job;
}

const CHROMIUM = ['chromium', 'chromium-browser', 'google-chrome'].find((name) => {
  try {
    execFileSync(name, ['--version'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
});

describe('html report', () => {
  test('I10 the same pack gives the same bytes, whatever the zone and language', async ({ dir }) => {
    const job = new PackJob().toEnd();
    const page = htmlReport(await storyOf(dir, job));
    const { TZ } = process.env;
    try {
      process.env['TZ'] = 'Asia/Kathmandu';
      expect(htmlReport(await storyOf(dir, job))).toBe(page);
    } finally {
      if (TZ === undefined) delete process.env['TZ'];
      else process.env['TZ'] = TZ;
    }
  });

  test('it says what happened: status, proof, steps, decision and who approved it', async ({ dir }) => {
    const story = await storyOf(dir, new PackJob().toEnd());
    const page = htmlReport(story);
    for (const text of [
      '✓</span> completed',
      '✓ Verified',
      `sha256:${story.manifestSha256}`,
      'Approved by ann',
      'read it',
      'may they be published?',
      'notes/published.txt',
      'An approval binds',
    ])
      has(page, text);
    has(page, `${story.eventCount} events</summary>`);
  });

  test('a pack that was not verified is said to be so, and signatures are named', async ({ dir }) => {
    const { path } = await write(dir, new PackJob().toEnd().source());
    const page = htmlReport(await readStory(path, 'no-verify'), {
      signatures: [{ keyId: 'ab'.repeat(32), name: 'Ada', state: 'good' }],
    });
    has(page, '✕ Not verified');
    expect(page.includes('✓ Verified')).toBe(false);
    has(page, `Ada <code class="hash">${'ab'.repeat(32)}</code>`);
  });

  test('the page may load nothing and run nothing, and holds no handler and no style of its own', async ({
    dir,
  }) => {
    const page = htmlReport(await storyOf(dir, hostileJob('http://127.0.0.1:9/')));
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)?.[1] ?? '';
    const hash = createHash('sha256').update(style).digest('base64');
    has(
      page,
      `content="default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'"`,
    );
    const tags = [...page.matchAll(/<([a-z][a-z0-9]*)([^>]*)>/g)];
    const names = new Set(tags.map(([, name]) => name));
    for (const name of ['script', 'img', 'iframe', 'link', 'object', 'form', 'base', 'foreignobject'])
      expect(names.has(name), name).toBe(false);
    for (const [tag, , attributes = ''] of tags) {
      // Only what stands outside of quotes names an attribute.
      expect(attributes.replaceAll(/"[^"]*"/g, '""'), tag).not.toMatch(/\s(?:on\w+|style|src|srcdoc)=/i);
      for (const [, target = ''] of attributes.matchAll(/href="([^"]*)"/g)) expect(target).toMatch(/^#/);
    }
    for (const char of ['\u202e', '\u0007']) expect(page.includes(char)).toBe(false);
    has(page, String.raw`\u202e\u0007&amp;amp;&#96;`);
  });

  test('10,000 events make a file of bounded size, which says what it leaves out', async ({ dir }) => {
    const steps = Array.from({ length: 2500 }, (_, index) => ({
      id: `step_${index}`,
      summary: 'x'.repeat(500),
      command: 'true',
      artifacts: [`out/${index}.txt`],
    }));
    const story = await storyOf(dir, new PackJob('long', steps).toDecision());
    expect(story.eventCount).toBeGreaterThan(10_000);
    expect([story.firstEvents.length, story.lastEvents.length]).toEqual([250, 250]);
    const page = htmlReport(story);
    expect(page.length).toBeLessThan(600_000);
    has(page, `${story.eventCount - 500} events are left out here`);
    has(page, '2470 more steps');
    has(page, '2000 more are in the pack');
  });

  test('every kind of run gives a page: held, of the reference, without steps', async ({ dir }) => {
    const reference = join(dir, 'reference.zip');
    await writeFile(reference, referencePack());
    const page = htmlReport(await readStory(reference, 'verify'));
    has(page, '5 of 5 checks passed');
    has(page, 'Approved by ann');
    expect(htmlReport(await storyOf(dir, new PackJob().toDecision()))).toContain('◇ Not approved');
  });

  test('long waits are drawn short, and time still runs in one direction', () => {
    const hour = 3_600_000;
    const scale = new TimeScale(
      [
        { pace: 'running', status: 'running', fromMs: 0, toMs: 10_000 },
        { pace: 'waiting', status: 'blocked_decision', fromMs: 10_000, toMs: 10_000 + 72 * hour },
        { pace: 'running', status: 'running', fromMs: 10_000 + 72 * hour, toMs: 20_000 + 72 * hour },
      ],
      0,
    );
    expect(scale.hasShortened).toBe(true);
    const xs = [0, 5000, 10_000, 36 * hour, 10_000 + 72 * hour, 20_000 + 72 * hour].map((ms) => scale.x(ms));
    expect(xs).toEqual(xs.toSorted((a, b) => a - b));
    expect(xs.at(-1)).toBeCloseTo(100);
    expect(scale.x(10_000 + 72 * hour) - scale.x(10_000)).toBeLessThan(20);
    expect(Math.round(scale.elapsedAt(scale.x(5000)))).toBe(5000);
  });

  test.skipIf(CHROMIUM === undefined)(
    `in a browser nothing hostile runs, nothing is asked for, and the console is silent${CHROMIUM === undefined ? ' (SKIPPED: there is no chromium here)' : ''}`,
    { timeout: 120_000 },
    async ({ dir }) => {
      let asked = 0;
      const server = createServer((_, response) => {
        asked += 1;
        response.end();
      });
      await new Promise<void>((resolve) => {
        server.listen(0, '127.0.0.1', resolve);
      });
      const profile = await mkdtemp(join(tmpdir(), 'reeve-browser-'));
      try {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
        const open = async (name: string, page: string) => {
          const file = join(dir, name);
          await writeFile(file, page);
          return promisify(execFile)(
            CHROMIUM ?? '',
            [
              '--headless=new',
              '--no-sandbox',
              '--disable-gpu',
              '--enable-logging=stderr',
              `--user-data-dir=${profile}`,
              '--virtual-time-budget=2000',
              '--dump-dom',
              pathToFileURL(file).href,
            ],
            { maxBuffer: 1e8, timeout: 60_000 },
          );
        };
        const report = await open('report.html', htmlReport(await storyOf(dir, hostileJob(url))));
        expect(report.stdout).toContain('<title>job_h: blocked_decision</title>');
        expect(report.stderr).not.toMatch(/CONSOLE/);
        expect(asked).toBe(0);
        // The same text does act where it is not escaped: what is looked for above would be seen.
        const control = await open('control.html', `<title>x</title>${hostile(url)}`);
        expect(control.stdout).toContain('<title>pwned</title>');
        expect(asked).toBeGreaterThan(0);
      } finally {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        await rm(profile, { recursive: true, force: true, maxRetries: 5 });
      }
    },
  );
});
