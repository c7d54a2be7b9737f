/**
 * What people said the state should be (`state set`, `state reset`). It overlays what is stored, here and at the
 * destination, until a newer state of the same stream was saved: a crash in between must not bring the old one back.
 */
import { summarizeState } from '@tapline/protocol';
import { z } from 'zod';

const Overrides = z.looseObject({
  v: z.literal(1),
  written_at: z.string(),
  /** True: `states` is all there is; a stream that is not in it starts over. */
  replace: z.boolean(),
  states: z.array(z.string()),
  /** Stream keys that start over. */
  reset: z.array(z.string()),
  /** Generation that was begun for a reset, by stream key: once the destination knows it, the reset has happened. */
  applied: z.record(z.string(), z.number()),
});
export type Overrides = z.infer<typeof Overrides>;

export function parseOverrides(text: string): Overrides | undefined {
  try {
    const parsed = Overrides.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}

/** What is left once `saved` (STATE bodies) were saved by a run that began from these overrides; undefined = nothing. */
export function withoutSaved(overrides: Overrides, saved: readonly string[]): Overrides | undefined {
  let { states, reset } = overrides;
  for (const body of saved) {
    const { kind, key } = summarizeState(body);
    if (kind !== 'STREAM') {
      // It is about all streams of the run; what was reset and is not among them still waits.
      states = [];
      reset = reset.filter((other) => overrides.applied[other] === undefined);
      continue;
    }
    states = states.filter((state) => summarizeState(state).key !== key);
    reset = reset.filter((other) => other !== key);
  }
  return states.length === 0 && reset.length === 0 ? undefined : { ...overrides, states, reset };
}

/** What is left after a run that did all it was asked for: resets of streams that it did not read; undefined = nothing. */
export function withoutDone(overrides: Overrides): Overrides | undefined {
  const reset = overrides.replace ? [] : overrides.reset.filter((key) => overrides.applied[key] === undefined);
  return reset.length === 0 ? undefined : { ...overrides, states: [], reset };
}
