// The GitHub summary and work items, from packs and from records (contract wrkr §h).
import { describe, expect } from 'vitest';
import {
  githubSummary,
  summariseJobpack,
  type SummaryFacts,
} from '../../src/evidence/report/github-summary.ts';
import { code, paragraph, words } from '../../src/evidence/report/markdown.ts';
import { workItemPayload, workItemText } from '../../src/evidence/report/work-item.ts';
import { ReeveError } from '../../src/model/errors.ts';
import { PackJob } from './pack-job.ts';
import { editLine, filesIn, referencePack, rehashed, test, write } from './support.ts';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const FACTS: SummaryFacts = {
  jobId: 'j',
  status: 'completed',
  createdAt: '2026-01-02T03:04:05Z',
  producerVersion: '1',
  delta: { added: 0, changed: 0, removed: 0 },
  artifacts: [],
};

const RESULT = {
  schema_id: 'wrkr.accept_result',
  schema_version: 'v1',
  created_at: '2025-03-01T10:00:00.500Z',
  producer_version: '0.1.0',
  job_id: 'demo',
  checks_run: 5,
  checks_passed: 3,
  failures: [
    { check: 'required_artifacts', message: 'required artifact a.md is in no checkpoint', artifact: 'a.md' },
    { check: 'test_command', message: 'command failed (exit=1): (no output)' },
  ],
  reason_codes: ['E_ACCEPT_MISSING_ARTIFACT', 'E_ACCEPT_TEST_FAIL'],
};

describe('W63 the summary', () => {
  test('of a pack: these sections, in this order, these bytes', async ({ dir }) => {
    const { path } = await write(dir, new PackJob().toEnd().source({ acceptance: RESULT }));
    const summary = await summariseJobpack(path);
    expect(summary).toEqual({
      schema_id: 'wrkr.github_summary',
      schema_version: 'v1',
      created_at: '2025-03-01T10:00:00.5Z',
      producer_version: '0.1.0',
      job_id: 'demo',
      status: 'completed',
      acceptance: { checks_run: 5, checks_passed: 3, failed: true },
      artifact_delta: { added: 2, changed: 0, removed: 0 },
      markdown: [
        '# Wrkr GitHub Summary',
        '',
        '- Job: `demo`',
        '- Status: `completed`',
        '- Acceptance: `failed` (3/5 checks)',
        '- Artifact Delta: added=2 changed=0 removed=0',
        '',
        '## Final Checkpoint',
        '',
        'job completed',
        '',
        '## Top Failures',
        '',
        '- `required_artifacts`: required artifact a.md is in no checkpoint (`a.md`)',
        '- `test_command`: command failed (exit=1): (no output)',
        '',
        '## Artifact Pointers',
        '',
        '- `notes/collected.txt`',
        '- `notes/published.txt`',
      ].join('\n'),
    });
    expect(await summariseJobpack(path)).toEqual(summary);
  });

  test("of the reference's pack; the manifest says when and by whom", async ({ dir }) => {
    const path = join(dir, 'ref.zip');
    await writeFile(path, referencePack());
    const summary = await summariseJobpack(path);
    const manifest = JSON.parse(filesIn(referencePack()).get('manifest.json') ?? '');
    expect(summary).toMatchObject({ job_id: 'job_v', created_at: manifest.created_at });
    expect(summary.producer_version).toBe(manifest.producer_version);
  });

  test('of a pack that does not verify there is none', async ({ dir }) => {
    const files = editLine(
      filesIn(referencePack()),
      'checkpoints.jsonl',
      0,
      (record) => (record.summary = 'forged'),
    );
    await writeFile(join(dir, 'forged.zip'), rehashed(files));
    await expect(summariseJobpack(join(dir, 'forged.zip'))).rejects.toMatchObject({
      code: 'E_VERIFY_HASH_MISMATCH',
    });
  });

  test('without acceptance, checkpoint, failures or artifacts it says so', () => {
    const { markdown, acceptance } = githubSummary(FACTS);
    expect(acceptance).toEqual({ checks_run: 0, checks_passed: 0, failed: false });
    expect(markdown.split('\n').filter((line) => line !== '')).toEqual([
      '# Wrkr GitHub Summary',
      '- Job: `j`',
      '- Status: `completed`',
      '- Acceptance: `passed` (0/0 checks)',
      '- Artifact Delta: added=0 changed=0 removed=0',
      '## Final Checkpoint',
      '(none)',
      '## Top Failures',
      '- None',
      '## Artifact Pointers',
      '- None',
    ]);
  });

  test('at most five failures, and the first five artifacts in the order of their bytes', () => {
    const failures = Array.from({ length: 7 }, (_, n) => ({ check: `check${n}`, message: 'no' }));
    const artifacts = ['é', 'b', 'a', 'Z', 'd', 'c'];
    const { markdown } = githubSummary({
      ...FACTS,
      artifacts,
      acceptance: { checks_run: 7, checks_passed: 0, failures },
    });
    const items = markdown.split('## Top Failures')[1]?.match(/^- .*$/gm);
    expect(items).toEqual([
      ...[0, 1, 2, 3, 4].map((n) => `- \`check${n}\`: no`),
      ...['Z', 'a', 'b', 'c', 'd'].map((path) => `- \`${path}\``),
    ]);
  });

  test('nothing that a job says becomes another line, a heading, a link, an image or HTML', () => {
    const evil =
      '# a\n## b\r\n- [x](javascript:y) ![i](http://t/) <img src=x onerror=y> `` c ` \u2028 &lt; **d**';
    const { markdown } = githubSummary({
      ...FACTS,
      status: evil,
      finalSummary: evil,
      artifacts: [evil, '`'],
      acceptance: {
        checks_run: 1,
        checks_passed: 0,
        failures: [{ check: evil, message: evil, artifact: evil }],
      },
    });
    const lines = markdown.split('\n');
    expect(lines).toHaveLength(
      githubSummary({ ...FACTS, artifacts: ['a', 'b'] }).markdown.split('\n').length,
    );
    expect(lines.filter((line) => line.startsWith('#'))).toEqual([
      '# Wrkr GitHub Summary',
      '## Final Checkpoint',
      '## Top Failures',
      '## Artifact Pointers',
    ]);
    for (const line of lines) {
      const outside = withoutCode(line);
      expect(outside, line).not.toMatch(/(?<!\\)(?:\\\\)*[<[\]*`]/);
    }
  });
});

/** The line without its code spans, as CommonMark finds them: a fence ends at a run of the same length. */
function withoutCode(line: string): string {
  let rest = line;
  let outside = '';
  for (;;) {
    const open = /(?<!\\)`+/.exec(rest);
    if (open === null) return outside + rest;
    outside += rest.slice(0, open.index);
    const after = rest.slice(open.index + open[0].length);
    const close = [...after.matchAll(/`+/g)].find(([run]) => run.length === open[0].length);
    if (close === undefined) return outside + open[0] + after;
    rest = after.slice(close.index + close[0].length);
  }
}

describe('text in Markdown', () => {
  test('plain text stays as it is', () => {
    const plain = 'publish dist/app.tar? 50% of snake_case (v1.2), C:\\dir & "more"; a-b + c = d!';
    expect([words(plain), paragraph(plain), code(plain)]).toEqual([plain, plain, `\`${plain}\``]);
  });

  test.each([
    ['a `b` c', 'a \\`b\\` c'],
    ['_a_ b_c __d', '\\_a\\_ b_c \\_\\_d'],
    ['*a* ~~b~~ $c$', '\\*a\\* \\~\\~b\\~\\~ \\$c\\$'],
    ['[a](b) <c> &amp; &#60; & d', '\\[a\\](b) \\<c> \\&amp; \\&#60; & d'],
    ['a\\*b\\', 'a\\\\\\*b\\\\'],
    ['a\nb\u001b[0m\u202e', 'a\\nb\\u001b\\[0m\\u202e'],
    ['a\ud800', 'a\ufffd'],
  ])('words: %j', (text, escaped) => {
    expect(words(text)).toBe(escaped);
  });

  test.each([
    ['# a', '\\# a'],
    ['- a', '\\- a'],
    ['+ a', '\\+ a'],
    ['> a', '\\> a'],
    ['=== a', '\\=== a'],
    ['12. a', '12\\. a'],
    ['1) a', '1\\) a'],
    ['    a', 'a'],
    ['1.5 a', '1\\.5 a'],
  ])('a paragraph of its own: %j', (text, escaped) => {
    expect(paragraph(text)).toBe(escaped);
  });

  test.each([
    ['a`b', '``a`b``'],
    ['`a`', '`` `a` ``'],
    ['``', '``` `` ```'],
    [' a ', '`  a  `'],
    ['', '`  `'],
    ['a\n# b', '`a\\n# b`'],
  ])('code: %j', (text, fenced) => {
    expect(code(text)).toBe(fenced);
  });
});

describe('W65 work items', () => {
  const checkpoint = {
    schema_id: 'wrkr.checkpoint',
    schema_version: 'v1',
    created_at: '2026-01-02T03:04:05Z',
    producer_version: '9',
    checkpoint_id: 'cp_7',
    job_id: 'j',
    type: 'decision-needed',
    summary: 'publish?',
    status: 'blocked_decision',
    artifacts_delta: { added: ['b'], changed: ['a', 'b'], removed: ['c'] },
    required_action: { kind: 'review', instructions: 'read it' },
    reason_codes: ['Y', 'X', 'Y'],
  };

  test('a decision: action, codes, artifacts, commands', () => {
    expect(workItemPayload(checkpoint)).toEqual({
      schema_id: 'wrkr.work_item',
      schema_version: 'v1',
      created_at: '2026-01-02T03:04:05Z',
      producer_version: '9',
      job_id: 'j',
      checkpoint_id: 'cp_7',
      checkpoint_type: 'decision-needed',
      required_action: 'review',
      reason_codes: ['X', 'Y'],
      artifact_pointers: ['a', 'b', 'c'],
      next_commands: [
        'wrkr approve j --checkpoint cp_7 --reason "approved"',
        'wrkr resume j',
        'wrkr export j',
        'wrkr accept run j --json',
      ],
    });
  });

  test.each([
    [{ kind: ' ', instructions: 'read it' }, 'decision-needed', 'read it'],
    [{}, 'decision-needed', 'approval'],
    [null, 'decision-needed', 'approval'],
    [null, 'blocked', 'resume'],
  ])('required action of %j, %s: %s', (required_action, type, action) => {
    const payload = workItemPayload({ ...checkpoint, required_action, type });
    expect(payload.required_action).toBe(action);
    expect(payload.next_commands).toHaveLength(type === 'blocked' ? 3 : 4);
  });

  test('without paths there are no pointers; a checkpoint that asks for nothing makes no item', () => {
    const bare = { ...checkpoint, artifacts_delta: { added: [], changed: [], removed: [] } };
    expect(workItemPayload(bare)).not.toHaveProperty('artifact_pointers');
    const odd = { ...bare, type: 'blocked', required_action: { kind: 1 }, reason_codes: [2, '', 'X'] };
    expect(workItemPayload(odd)).toMatchObject({ required_action: 'resume', reason_codes: ['X'] });
    for (const type of ['plan', 'progress', 'completed'])
      expect(() => workItemPayload({ ...checkpoint, type })).toThrow(ReeveError);
  });

  test('the text of a ticket, per template', () => {
    const payload = workItemPayload({
      ...checkpoint,
      type: 'blocked',
      required_action: { kind: 'a`b\n# c' },
    });
    const tail = [
      '',
      'Reason codes: X, Y',
      '',
      'Next commands:',
      '- wrkr resume j',
      '- wrkr export j',
      '- wrkr accept run j --json',
      '',
    ];
    expect(workItemText(payload, 'github').split('\n')).toEqual([
      '# GitHub Work Item',
      '',
      'Job `j` checkpoint `cp_7` (`blocked`) requires ``a`b\\n# c``.',
      ...tail,
    ]);
    expect(workItemText(payload, 'jira').split('\n')).toEqual([
      '# JIRA Work Item',
      '',
      'Summary: `j/cp_7` requires ``a`b\\n# c``',
      ...tail,
    ]);
    expect(workItemText({ ...payload, reason_codes: ['*x*'] }, 'jira')).toContain('Reason codes: \\*x\\*\n');
  });
});
