/** A service of ARP that is open and can be served. */
import type { RouteGroup } from '../doors/http.ts';

export interface OpenService {
  readonly group: RouteGroup;
  isReady(): Promise<boolean>;
  /** Ends what runs, once it is told to stop: gives `graceMs` to what can finish. */
  stop?(graceMs: number): Promise<void>;
  close(): void | Promise<void>;
}
