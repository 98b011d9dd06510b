import { crashAndRecover } from './coordinator-crash.ts';
import { test } from './support.ts';

test('G30 I5 kill -9 with 1,000 queued and 100 running nodes', async ({ stack }) => {
  await crashAndRecover(stack, 1100, 100);
});
