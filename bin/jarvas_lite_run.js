#!/usr/bin/env node
// The operational runner and the polling agent by their old name: its two modes are commands of reeve.
import { start } from './guard.js';

const [mode] = process.argv.slice(2);
if (mode === 'run' || mode === 'agent') {
  await start('reeve');
} else {
  process.stdout.write(
    'usage: jarvas_lite_run agent | run --action NAME [--run-id ID] --command CMD | run --action NAME -- PROGRAM [ARG…]\n',
  );
  process.exitCode = 1;
}
