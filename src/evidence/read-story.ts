/** Reads a pack's story, folding its events once. */
import type { RecordedEvent } from '../model/events.ts';
import type { RunSpec } from '../model/run-spec.ts';
import { CHAIN_EVENTS } from './chain-entry.ts';
import { readDocument, readJson } from './pack-reader.ts';
import { PackReplay, type Trust } from './replay.ts';
import { statusOf } from './statuses.ts';
import { StoryFold } from './story-fold.ts';
import { telling } from './telling.ts';
import type { RunStory } from './story.ts';

const ACCEPTANCE = 'accept/accept_result.json';
const SPEC = 'jobspec.json';

/**
 * @param see also gets every event, after it was applied.
 * @throws ReeveError what `PackReplay` throws.
 */
export async function readStory(
  path: string,
  trust: Trust,
  see: (event: RecordedEvent) => void = () => undefined,
): Promise<RunStory> {
  const replay = await PackReplay.open(path, trust);
  try {
    const fold = replay.fold();
    const gathering = new StoryFold();
    for await (const event of replay.events()) {
      const applied = fold.add(event);
      telling(`event ${event.seq} of the pack`, () => {
        gathering.add(applied, event.record.type, fold.state, fold.spec);
        see(applied);
      });
    }
    const { reader, jobId, producerVersion, manifestSha256, verified } = replay;
    const artifacts = await readDocument(reader, 'artifacts_manifest.json');
    const { state, spec } = fold;
    return {
      jobId,
      producerVersion,
      manifestSha256,
      verified,
      isFromLines: !reader.entries.has(CHAIN_EVENTS),
      name: state.spec.name || jobId,
      actor: state.spec.actor,
      status: statusOf(state.standing),
      reasonCodes: state.reasonCodes,
      summary: state.checkpoints.lastSummary,
      spec: spec === undefined ? undefined : { ...spec, ...(await documentOf(replay)) },
      environment: state.environment,
      limits: state.limits,
      used: state.used,
      ...gathering.parts(state),
      captureMode: artifacts['capture_mode'] as string,
      artifacts: artifacts['artifacts'] as unknown as RunStory['artifacts'],
      acceptance: reader.entries.has(ACCEPTANCE) ? await readDocument(reader, ACCEPTANCE) : undefined,
    };
  } finally {
    await replay.close();
  }
}

/** The job spec of a pack, where a run of the reference has one beside its lines. */
async function documentOf({ reader }: PackReplay): Promise<Partial<RunSpec>> {
  return reader.entries.has(SPEC) ? { document: await readJson(reader, SPEC) } : {};
}
