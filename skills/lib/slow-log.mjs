/**
 * Slow statements in the logs of PostgreSQL (text, CSV, JSON) and of MySQL and MariaDB (slow query log). What a database
 * logged is never given back as it was: only its shape, without a value.
 */

/** More of a statement says no more about its shape. */
const MAX_STATEMENT = 20_000;
const SHAPE_LENGTH = 120;
const SEVERITY =
  /\b(?:DEBUG\d?|LOG|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC|STATEMENT|DETAIL|HINT|CONTEXT|QUERY|LOCATION):\s/;
const DURATION = /^duration: (\d+(?:\.\d+)?) ms(?:\s+[a-z][^:]*:\s*([\s\S]*))?$/;
const TIME =
  /(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)\s?(Z|[A-Z]{2,5}\b|[+-]\d\d(?::?\d\d)?(?=\s|$|\]))?/;

/**
 * @typedef {{ms: number, atMs: number | undefined, statement: string}} Entry a time that the log took of a statement
 * @param {AsyncIterable<string>} lines of one log
 * @param {'text' | 'csv' | 'json'} format
 * @returns {AsyncGenerator<Entry>}
 */
export function slowEntries(lines, format) {
  if (format === 'csv') return fromCsv(lines);
  return format === 'json' ? fromJson(lines) : fromText(lines);
}

/** PostgreSQL's text and MySQL's slow log differ from their first character on: either may come. */
async function* fromText(lines) {
  let entry;
  let mysqlAtMs;
  for await (const line of lines) {
    const mysql = /^# (Time|User@Host|Query_time):\s*(.*)$/.exec(line);
    if (mysql !== null) {
      const [, name, value = ''] = mysql;
      if (entry !== undefined) yield entry;
      entry = undefined;
      if (name === 'Time') mysqlAtMs = mysqlTime(value);
      const seconds = name === 'Query_time' ? Number.parseFloat(value) : NaN;
      if (!Number.isNaN(seconds)) entry = { ms: seconds * 1000, atMs: mysqlAtMs, statement: '', mysql: true };
      continue;
    }
    if (entry?.mysql === true) {
      const stamp = /^SET timestamp=(\d+)/.exec(line)?.[1];
      if (stamp !== undefined) entry.atMs ??= Number(stamp) * 1000;
      else if (!/^(?:#|use )/i.test(line)) extend(entry, line);
      continue;
    }
    if (/^\s/.test(line)) {
      if (entry !== undefined) extend(entry, line); // the statement goes on
      continue;
    }
    if (entry !== undefined) yield entry;
    // The first severity of the line is the message's own: what comes later is text that somebody wrote.
    const severity = SEVERITY.exec(line);
    entry =
      severity?.[0].startsWith('LOG:') === true
        ? ofMessage(line.slice(severity.index + 4).trim(), postgresTime(line.slice(0, severity.index)))
        : undefined;
  }
  if (entry !== undefined) yield entry;
}

async function* fromJson(lines) {
  for await (const line of lines) {
    let record;
    try {
      record = JSON.parse(line);
    } catch {
      continue; // a line that was cut when the log was turned over
    }
    if (record?.error_severity !== 'LOG') continue;
    const entry = ofMessage(String(record.message ?? ''), postgresTime(String(record.timestamp ?? '')));
    if (entry !== undefined) yield entry;
  }
}

/** Columns of csvlog: the time is the first, the severity the 12th, the message the 14th. */
async function* fromCsv(lines) {
  let record = '';
  for await (const line of lines) {
    record += record === '' ? line : `\n${line}`;
    if (!quotesMatch(record) && record.length < 1_000_000) continue;
    const columns = [...record.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, bare]) => quoted?.replaceAll('""', '"') ?? bare ?? '',
    );
    record = '';
    if (columns[11] !== 'LOG') continue;
    const entry = ofMessage(columns[13] ?? '', postgresTime(columns[0] ?? ''));
    if (entry !== undefined) yield entry;
  }
}

const quotesMatch = (text) => (text.match(/"/g)?.length ?? 0) % 2 === 0;

function ofMessage(message, atMs) {
  const found = DURATION.exec(message);
  if (found === null) return undefined;
  return { ms: Number(found[1]), atMs, statement: (found[2] ?? '').slice(0, MAX_STATEMENT) };
}

function extend(entry, line) {
  if (entry.statement.length < MAX_STATEMENT)
    entry.statement += `${entry.statement === '' ? '' : '\n'}${line}`;
}

/** A zone that is neither UTC nor an offset is taken for that of this machine, as PostgreSQL's own default is. */
function postgresTime(text) {
  const found = TIME.exec(text);
  if (found === null) return undefined;
  const [, day, time, zone = ''] = found;
  const offset = /^[+-]\d\d$/.test(zone) ? `${zone}:00` : zone.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2');
  const atMs = Date.parse(
    `${day}T${time}${/^(?:Z|UTC|GMT)$/.test(zone) ? 'Z' : /^[+-]/.test(offset) ? offset : ''}`,
  );
  return Number.isNaN(atMs) ? undefined : atMs;
}

/** `2026-10-01T12:00:00.123456Z`, or before MySQL 5.7 and in MariaDB `261001 12:00:00`, of this machine's zone. */
function mysqlTime(text) {
  const old = /^(\d\d)(\d\d)(\d\d)\s+(\d{1,2}):(\d\d):(\d\d)/.exec(text);
  const atMs =
    old === null
      ? Date.parse(text.trim())
      : Date.parse(`20${old[1]}-${old[2]}-${old[3]}T${(old[4] ?? '').padStart(2, '0')}:${old[5]}:${old[6]}`);
  return Number.isNaN(atMs) ? undefined : atMs;
}

const VALUES =
  /'(?:[^']|'')*(?:'|$)|"(?:[^"]|"")*(?:"|$)|\$(\w*)\$[\s\S]*?(?:\$\1\$|$)|\/\*[\s\S]*?(?:\*\/|$)|(?:--|#)[^\n]*|\b0x[0-9a-f]+\b|\b\d+(?:\.\d+)?(?:e[+-]?\d+)?\b/gi;

/**
 * @param {string} statement
 * @returns {string} it with `?` for each value, at most 120 characters; only its first word where it cannot be told for sure
 *   where a value ends
 */
export function shapeOf(statement) {
  const firstWord = /^\s*\(?\s*([A-Za-z]+)/.exec(statement)?.[1]?.toUpperCase() ?? '';
  if (firstWord === '') return '(no statement logged)';
  if (/\\['"]/.test(statement)) return `${firstWord} …`; // a backslash escapes in one database and not in the other
  const shape = statement
    .replaceAll(VALUES, (value) => (/^(?:\/\*|--|#)/.test(value) ? ' ' : '?'))
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\?(?:\s*,\s*\?)+/g, '?')
    .trim();
  return shape.length <= SHAPE_LENGTH ? shape : `${shape.slice(0, SHAPE_LENGTH - 1)}…`;
}
