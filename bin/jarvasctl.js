#!/usr/bin/env node
// Rollouts and the audit chain by their old name.
import { startMode } from './guard.js';

await startMode(['rollout', 'audit'], {
  usage: 'jarvasctl rollout start|wait|promote|abort|pause|resume|begin|status|list … | audit verify FILE',
  exitCode: 2,
});
