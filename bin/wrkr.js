#!/usr/bin/env node
import { start } from './guard.js';

await start('wrkr');
