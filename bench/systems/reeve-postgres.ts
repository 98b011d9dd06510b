import { openReeve, resumeReeve, workOn } from './reeve.ts';
import type { Place, System, Told } from './system.ts';

export const open = (place: Place): Promise<System> => openReeve(place, 'postgres', import.meta.url);
export const work = (place: Place, tell: (message: Told) => void): Promise<() => Promise<void>> =>
  workOn(place, 'postgres', tell);
export const resume = (place: Place): Promise<void> => resumeReeve(place, 'postgres');
