// Stands for the client of MySQL: FAKE_TABLES is {"schema.table": rows of CHECK TABLE}, each row a type and a text.

import { writeSync } from 'node:fs';

const args = process.argv.slice(2);
const tables = JSON.parse(process.env.FAKE_TABLES);
const valueOf = (name) => args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);
if (valueOf('host') === '192.0.2.1') {
  writeSync(2, "ERROR 2003 (HY000): Can't connect to MySQL server on '192.0.2.1:3306' (110)\n");
  process.exit(1);
}
const sql = valueOf('execute');
const asked = /^check table `(\w+)`\.`(\w+)` (medium|extended)$/.exec(sql);
if (asked === null) {
  for (const name of Object.keys(tables)) writeSync(1, `${name.replace('.', '\t')}\n`);
} else {
  const name = `${asked[1]}.${asked[2]}`;
  for (const [kind, text] of tables[name]) writeSync(1, `${name}\tcheck\t${kind}\t${text}\n`);
}
