/** Packages and approvals as a part of the control plane. */
import type { PartFactory } from '../service.ts';
import { Packages, PACKAGES_SCHEMA } from './packages.ts';
import { packageRoutes } from './routes.ts';

export const packagesPart: PartFactory = {
  schema: PACKAGES_SCHEMA,
  open({ engine, database, ledger, audit, board }) {
    const nowMs = (): number => engine.clock.nowMs();
    const packages = new Packages({ rows: database.rows, blobs: engine.blobs, ledger, audit, board, nowMs });
    board.isApproved = (tenant, taskId) => packages.isApproved(tenant, taskId);
    return { routes: packageRoutes(packages) };
  },
};
