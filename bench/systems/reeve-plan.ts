import { openReeve } from './reeve.ts';
import type { Place, System } from './system.ts';

export const open = (place: Place): Promise<System> => openReeve(place, 'sqlite', import.meta.url, true);
