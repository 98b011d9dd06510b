/** What a pack may hold. Writer and reader share them, so that nothing is written that cannot be verified again. */

/** All entries together, inflated (contract wrkr §f). */
export const PACK_BYTES_MAX = 512 * 1_048_576;
/** One document, or one line of a `.jsonl` entry: what has to be in memory as a whole. */
export const TEXT_BYTES_MAX = 16 * 1_048_576;
/** Entries from this size on must not inflate by more than `RATIO_MAX`. */
export const RATIO_FROM_BYTES = 16 * 1_048_576;
export const RATIO_MAX = 100;
/** More needs the ZIP64 format, which no verifier has to know. */
export const ENTRIES_MAX = 65_534;
