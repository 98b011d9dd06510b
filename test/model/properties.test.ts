import { expect, test } from 'vitest';
import { chainHash } from '../../src/model/chain.ts';
import { sha256 } from '../../src/engine/system.ts';
import { modelProperties, modelReach } from './properties.ts';

modelProperties(300);
modelReach();

test('I2: the chain covers the order of its bodies, not only their number', () => {
  const [a, b] = [chainHash('0', 'a', sha256), chainHash('0', 'b', sha256)];
  expect(chainHash(a, 'b', sha256)).not.toBe(chainHash(b, 'a', sha256));
});
