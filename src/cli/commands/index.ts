/** Every command, as data. A handler is loaded only when its command runs. */
import type { CommandSpec, CommandTopic } from '../command.ts';
import { ACCEPTANCE_COMMANDS } from './table/acceptance.ts';
import { COPY_COMMANDS } from './table/copy.ts';
import { ARP_COMMANDS } from './table/arp.ts';
import { CONTROL_PLANE_COMMANDS } from './table/control-plane.ts';
import { DECISION_COMMANDS } from './table/decisions.ts';
import { EVIDENCE_COMMANDS } from './table/evidence.ts';
import { JOB_COMMANDS } from './table/jobs.ts';
import { OPERATIONAL_COMMANDS } from './table/operational.ts';
import { PROGRAM_COMMANDS } from './table/program.ts';
import { ROLLOUT_COMMANDS } from './table/rollouts.ts';
import { RUN_COMMANDS } from './table/runs.ts';
import { SERVE_COMMANDS } from './table/serve.ts';
import { SIGNING_COMMANDS } from './table/signing.ts';
import { SKILL_COMMANDS } from './table/skills.ts';
import { STORE_COMMANDS } from './table/store.ts';
import { STORY_COMMANDS } from './table/story.ts';

/** What commands are for, in the order of the command map. */
export const TOPICS: readonly CommandTopic[] = [
  { title: 'Jobs', commands: JOB_COMMANDS },
  { title: 'Decisions and budgets', commands: DECISION_COMMANDS },
  { title: 'Evidence', commands: [...EVIDENCE_COMMANDS, ...SIGNING_COMMANDS, ...STORY_COMMANDS] },
  { title: 'Acceptance in CI', commands: ACCEPTANCE_COMMANDS },
  { title: 'Agent Runtime Protocol', commands: [...RUN_COMMANDS, ...ARP_COMMANDS] },
  {
    title: 'Polling agents and their skills',
    commands: [...OPERATIONAL_COMMANDS, ...SKILL_COMMANDS, ...ROLLOUT_COMMANDS, ...CONTROL_PLANE_COMMANDS],
  },
  {
    title: 'The store, the server, the program',
    commands: [...STORE_COMMANDS, ...COPY_COMMANDS, ...SERVE_COMMANDS, ...PROGRAM_COMMANDS],
  },
];

export const COMMANDS: readonly CommandSpec[] = TOPICS.flatMap(({ commands }) => commands);
