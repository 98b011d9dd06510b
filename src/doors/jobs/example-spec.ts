/** The spec that `init` writes: three steps, one decision, everything required and a few things worth knowing. */
export function exampleSpec(createdAt: string, version: string, program: 'reeve' | 'wrkr'): string {
  return `# A job: its steps run in order, each exactly once, and it stops where a person has to decide.
# Run it:    ${program} submit <this file> --job-id first
# Decide:    ${program} approve first --checkpoint <cp> --reason "looks good"
# Go on:     ${program} resume first
schema_id: wrkr.jobspec
schema_version: v1
created_at: "${createdAt}"
producer_version: "${version}"
name: first-job
objective: Prepare a report, have it reviewed, publish it
inputs:
  steps:
    - id: prepare
      summary: report prepared
      command: mkdir -p reports && date -u > reports/first.md
      artifacts: [reports/first.md]
    - id: review
      summary: report is ready for review
      decision_needed: true
      required_action: approval
    - id: publish
      summary: report published
      command: cp reports/first.md reports/published.md
      artifacts: [reports/published.md]
      timeout_seconds: 60
expected_artifacts: [reports/published.md]
adapter:
  name: reference
budgets:
  max_wall_time_seconds: 600 # running time only: waiting for a person is free
  max_retries: 3
  max_step_count: 10
  max_tool_calls: 10
checkpoint_policy:
  min_interval_seconds: 1
  required_types: [plan, progress, completed]
environment_fingerprint:
  rules: [os, arch]
`;
}
