/** What `state.json` holds. */
import { configError, summarizeState } from '@tapline/protocol';
import { z } from 'zod';

/** What the runner knows of a stream's generation. `minimum`: rows of lower generations leave once it completes; 0 = none. */
const StoredGeneration = z.looseObject({
  id: z.number(),
  minimum: z.number(),
  complete: z.boolean(),
  /** Mode, cursor and key it was read with: another one begins a new generation. */
  signature: z.string(),
});
export type StoredGeneration = z.infer<typeof StoredGeneration>;

const StoredState = z.looseObject({
  v: z.literal(1),
  /** The newest `id` saved; rises over the sync's life. 0 = no STATE was ever saved. */
  state_id: z.number(),
  run_id: z.string(),
  /** The destination's, 0 where it keeps none. */
  epoch: z.number(),
  /** The source's identity, '' = it has none. */
  source: z.string(),
  catalog_hash: z.string(),
  saved_at: z.string(),
  /** Bodies of STATE messages, the source's own bytes. */
  states: z.array(z.string()),
  /** By stream key. */
  generations: z.record(z.string(), StoredGeneration),
});
export type StoredState = z.infer<typeof StoredState>;

/** Throws a `config_error` that names the file and the ways on. */
export function parseStoredState(text: string, path: string, sync: string): StoredState {
  const damaged = (what: string, cause: unknown): Error =>
    configError(
      `${path} ${what}. To take the state that the destination holds: run the sync once with --from-destination. ` +
        `To start over: \`runner state reset ${sync}\`. Older states are kept in the history folder beside it.`,
      { code: 'state_damaged', cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged('is cut off or damaged', cause);
  }
  const parsed = StoredState.safeParse(value);
  if (!parsed.success) throw damaged('is not a state file of this version', parsed.error);
  try {
    for (const state of parsed.data.states) summarizeState(state);
  } catch (cause) {
    throw damaged('holds a state that is not valid', cause);
  }
  return parsed.data;
}
