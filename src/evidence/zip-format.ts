/** Numbers of the ZIP format (APPNOTE 6.3.10) and the byte recipe of a pack (contract wrkr §f). */

export const LOCAL_HEADER = 0x04034b50;
export const DESCRIPTOR = 0x08074b50;
export const CENTRAL_HEADER = 0x02014b50;
export const END_RECORD = 0x06054b50;

export const LOCAL_HEADER_BYTES = 30;
export const DESCRIPTOR_BYTES = 16;
export const CENTRAL_HEADER_BYTES = 46;
export const END_RECORD_BYTES = 22;

/** 2.0, as version made by (on a file system without modes) and as version needed. */
export const VERSION = 20;
/** CRC and sizes follow the data, in a descriptor. */
export const FLAG_DESCRIPTOR = 0x0008;
/** The name is UTF-8; set where a name has other characters than ASCII. */
export const FLAG_UTF8 = 0x0800;
export const STORED = 0;
export const DEFLATED = 8;
/** 1980-01-01 00:00:00. */
export const DOS_TIME = 0;
export const DOS_DATE = 0x0021;
/** Extended timestamp of the same instant, UTC: the modification time is set, 315532800 s. */
export const EXTRA = Buffer.from([0x55, 0x54, 0x05, 0x00, 0x01, 0x00, 0xa6, 0xce, 0x12]);
