/** The jobs door over HTTP (contract wrkr §i). */
import type { Failures, RouteGroup } from '../http.ts';
import { evidenceRoutes } from './routes-evidence.ts';
import { readingRoutes } from './routes-read.ts';
import { steeringRoutes } from './routes-steer.ts';
import {
  ACCEPT_RESULT_SCHEMA,
  APPROVAL_RECORD_SCHEMA,
  CHECKPOINT_SCHEMA,
  ERROR_ENVELOPE_SCHEMA,
  GITHUB_SUMMARY_SCHEMA,
  STATUS_RESPONSE_SCHEMA,
} from './response-schemas.ts';
import type { ServiceOf } from './http-service.ts';

export function jobRoutes(service: ServiceOf, failures: Failures): RouteGroup {
  return {
    name: 'jobs',
    description: 'Durable jobs: submit, follow, decide, steer, and take their evidence.',
    prefix: '/v1/jobs',
    failures,
    routes: [...steeringRoutes(service), ...readingRoutes(service), ...evidenceRoutes(service)],
    schemas: {
      StatusResponse: STATUS_RESPONSE_SCHEMA,
      Checkpoint: CHECKPOINT_SCHEMA,
      ApprovalRecord: APPROVAL_RECORD_SCHEMA,
      AcceptResult: ACCEPT_RESULT_SCHEMA,
      GithubSummary: GITHUB_SUMMARY_SCHEMA,
      ErrorEnvelope: ERROR_ENVELOPE_SCHEMA,
    },
  };
}
