import { requireJob, runSpecOf, type Jobs } from './jobs.ts';
import { outputOf, type StepOutput } from './step-output.ts';

/** In the order in which attempts ended. @param step index or id; undefined: all steps. */
export async function stepOutputs(jobs: Jobs, id: string, step?: string): Promise<readonly StepOutput[]> {
  const { id: jobId } = await requireJob(jobs, id);
  const { nodes } = await runSpecOf(jobs, jobId);
  const places = new Map(nodes.map((node, index) => [node.id, { index, name: node.name ?? node.id }]));
  const found: StepOutput[] = [];
  for (let after = 0; ; ) {
    const events = await jobs.engine.events(jobId, after, 500, ['attempt_ended']);
    for (const recorded of events) {
      const output = outputOf(recorded, places);
      if (
        output !== undefined &&
        (step === undefined || step === output.step_id || step === String(output.step_index))
      )
        found.push(output);
    }
    after = events.at(-1)?.seq ?? after;
    if (events.length < 500) return found;
  }
}
