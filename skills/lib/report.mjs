// What a skill has found: lines for people, report.json for programs. Nothing that looks like a secret leaves here.

import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { redactSecrets } from './secrets.mjs';

const SEVERITIES = ['info', 'low', 'medium', 'high', 'critical', 'error'];

/** One line, safe to print: controls and direction marks are written out, secrets are masked. */
export function printable(text) {
  return redactSecrets(String(text)).replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (char) => `\\u{${char.codePointAt(0).toString(16)}}`,
  );
}

export class Report {
  #skill;
  #version;
  #hasFailed = false;
  #hasErred = false;
  #isSkipped = false;
  /** @type {{id: string, severity: string, where: string, message: string}[]} */
  findings = [];
  /** @type {Record<string, number | string | boolean>} */
  metrics = {};
  /** @type {{stream: 'stdout' | 'stderr', text: string}[]} in order; what is wrong goes to stderr */
  lines = [];

  constructor(skill, version) {
    this.#skill = skill;
    this.#version = version;
  }

  /** A violation is certain whatever else could not be checked, so it comes first. */
  get outcome() {
    if (this.#hasFailed) return 'violation';
    if (this.#hasErred) return 'error';
    return this.#isSkipped ? 'skipped' : 'pass';
  }

  ok(where, message) {
    this.#say('OK', where, message);
  }

  find(word, { id, severity, where, message }) {
    if (!SEVERITIES.includes(severity)) throw new TypeError(`${severity} is no severity`);
    this.#hasFailed ||= word === 'FAIL';
    this.findings.push({ id, severity, where: printable(where), message: printable(message) });
    this.#say(word, where, message);
  }

  skip(reason) {
    this.#isSkipped = true;
    this.findings.push({ id: 'skipped', severity: 'info', where: '', message: printable(reason) });
    this.#say('SKIP', '', reason);
  }

  error(where, message) {
    this.#hasErred = true;
    const finding = { id: 'could_not_check', severity: 'error', where: printable(where) };
    this.findings.push({ ...finding, message: printable(message) });
    this.#say('ERROR', where, message);
  }

  json() {
    const { findings, metrics, outcome } = this;
    const report = { skill: this.#skill, version: this.#version, outcome, findings, metrics };
    return `${JSON.stringify(report, null, 2)}\n`;
  }

  /** Writes report.json, whole or not at all. @param {string | undefined} dir nothing is written without one */
  save(dir) {
    if (dir === undefined || dir === '') return;
    const path = join(dir, 'report.json');
    const partial = `${path}.${process.pid}.tmp`;
    writeFileSync(partial, this.json());
    renameSync(partial, path);
  }

  #say(word, where, message) {
    const place = where === '' ? '' : `${printable(where)}: `;
    const stream = word === 'FAIL' || word === 'ERROR' ? 'stderr' : 'stdout';
    this.lines.push({ stream, text: `${word}: ${place}${printable(message)}\n` });
  }
}
