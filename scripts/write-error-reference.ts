// docs/errors.md, from the error table. `test/house/reference.test.ts` fails when the page is not current.
import { realpathSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ERRORS, type ErrorEntry } from '../src/model/errors.ts';

const PAGE = new URL('../docs/errors.md', import.meta.url);

const INTRO = `# Errors

<!-- Made by scripts/write-error-reference.ts. Change src/model/errors.ts and run: node scripts/write-error-reference.ts -->

Branch on the code, never on the message: codes are never renamed or reused, messages may change. An error goes to stderr;
stdout then stays empty, except that \`wrap\`, \`doctor\`, \`store check\` and \`runs start\` print their result first. With \`--json\` it is an
envelope:

\`\`\`json
{
  "schema_id": "wrkr.error_envelope",
  "schema_version": "v1",
  "created_at": "2026-11-20T09:15:02.5Z",
  "producer_version": "0.1.0",
  "code": "E_CHECKPOINT_APPROVAL_REQUIRED",
  "message": "checkpoint cp_9 of release_42 is not approved",
  "exit_code": 4,
  "details": { "job_id": "release_42", "checkpoint_id": "cp_9", "hint": "…" }
}
\`\`\`

## Exit codes
`;

const MEANINGS: Readonly<Record<number, string>> = {
  1: 'it failed, or was stopped',
  2: 'evidence does not match its record',
  4: 'a person has to decide',
  5: 'acceptance failed',
  6: 'the command or its input is wrong; nothing was changed',
  8: 'refused as unsafe',
};

export function errorReference(errors: Readonly<Record<string, ErrorEntry>>): string {
  const entries = Object.entries(errors);
  const exits = [...new Set(entries.map(([, { exit }]) => exit))].toSorted((a, b) => a - b);
  return [
    INTRO,
    '| exit | meaning | codes |',
    '| --- | --- | --- |',
    '| 0 | success; also a job that waits for a decision, was paused or was canceled | |',
    ...exits.map((exit) => {
      const codes = entries.filter(([, entry]) => entry.exit === exit).map(([code]) => `\`${code}\``);
      return `| ${exit} | ${MEANINGS[exit] ?? ''} | ${codes.join(', ')} |`;
    }),
    '| 130, 143 | interrupted by SIGINT, or by another signal; the job can be resumed | |',
    '',
    '## Codes',
    '',
    '"HTTP" is the status a server gives it; "retry" says whether the same call may succeed later.',
    '',
    '| code | exit | HTTP | retry | what to do |',
    '| --- | --- | --- | --- | --- |',
    ...entries.map(
      ([code, { exit, status, retry, hint }]) =>
        `| \`${code}\` | ${exit} | ${status} | ${retry ? 'yes' : 'no'} | ${cell(hint)} |`,
    ),
    '',
  ].join('\n');
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, errorReference(ERRORS));
}
