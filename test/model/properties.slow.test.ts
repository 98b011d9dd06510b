import { modelProperties } from './properties.ts';

modelProperties(5000);
