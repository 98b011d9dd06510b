import { crashAndRecover } from './coordinator-crash.ts';
import { test } from './support.ts';

test('G30 I5 kill -9 with queued and running work: all of it ends, and nothing is repeated silently', async ({
  stack,
}) => {
  await crashAndRecover(stack, 60, 10);
});
