#!/usr/bin/env node
// Rollouts and the audit chain by their old name.
import { start } from './guard.js';

const [topic] = process.argv.slice(2);
if (topic === 'rollout' || topic === 'audit') {
  await start('reeve');
} else {
  process.stdout.write(
    'usage: jarvasctl rollout start|wait|promote|abort|pause|resume|begin|status|list … | audit verify FILE\n',
  );
  process.exitCode = 2;
}
