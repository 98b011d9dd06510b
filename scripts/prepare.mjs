// Runs after `npm ci` and `npm install` in a clone and before `npm pack`: builds dist/. The first `npx reeve` in a clone
// runs it too, because npm then links the clone into its own cache. That time it does nothing: a failure there would leave
// npm's cache half made, and every later `npx reeve` would fail with it.
import { existsSync } from 'node:fs';
import { build, root } from './build.mjs';

if (process.env['npm_command'] === 'exec' || process.env['npm_config_dry_run'] === 'true') {
  // nothing to do
} else if (existsSync(new URL('node_modules/typescript/package.json', root))) {
  build();
} else {
  process.stderr.write('reeve: development dependencies are not installed, so dist/ was left as it is.\n');
}
