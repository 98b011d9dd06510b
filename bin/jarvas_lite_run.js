#!/usr/bin/env node
// The operational runner and the polling agent by their old name.
import { startMode } from './guard.js';

await startMode(['run', 'agent'], {
  usage:
    'jarvas_lite_run agent | run --action NAME [--run-id ID] --command CMD | run --action NAME -- PROGRAM [ARG…]',
  exitCode: 1,
});
