/** The checks as a JUnit report (contract wrkr §g, W61). */
import type { AcceptCheck } from './result.ts';

export function junitXml(checks: readonly AcceptCheck[]): string {
  const failures = checks.filter(({ passed }) => !passed).length;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="wrkr-accept" tests="${checks.length}" failures="${failures}">`,
    ...checks.flatMap(testcase),
    '</testsuite>',
    '',
  ].join('\n');
}

function testcase({ name, passed, message, reason_code: code }: AcceptCheck): string[] {
  const open = `  <testcase classname="wrkr.accept" name="${xmlText(name)}">`;
  if (passed) return [`${open}</testcase>`];
  return [
    open,
    `    <failure message="${xmlText(message)}">${xmlText(code ?? '')}</failure>`,
    '  </testcase>',
  ];
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\t': '&#x9;',
  '\n': '&#xA;',
  '\r': '&#xD;',
};

/** What XML 1.0 has no character for becomes U+FFFD: no reader takes it, not even as a reference. */
function xmlText(text: string): string {
  return text.replaceAll(
    /["'&<>\t\n\r]|[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu,
    (char) => {
      return ESCAPES[char] ?? '\ufffd';
    },
  );
}
