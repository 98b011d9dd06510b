// Loaded before a program: its clock is seven years, four months and some seconds ahead.
// @ts-nocheck -- stands in for a class that is a function, too
const AHEAD_MS = 232_123_456_789;
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + AHEAD_MS] : args));
  }
  static now() {
    return RealDate.now() + AHEAD_MS;
  }
};
