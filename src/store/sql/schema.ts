/** Values of `work.state`: numbers, because the index that workers look through is made of them. */
export const OFFERED = 0;
export const LEASED = 1;
export const PARKED = 2;
