/** Which generation each stream writes, and what begins and ends with the next commit. */
import { protocolError, streamKey, type Checkpoint, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import type { CompletedGeneration, GenerationBegin } from '../sink.js';

interface Changes {
  begun: GenerationBegin[];
  completed: CompletedGeneration[];
  /** Streams whose old state must not outlive the commit. */
  forgotten: string[];
}

const none = (): Changes => ({ begun: [], completed: [], forgotten: [] });

export class Generations {
  readonly #highest: Map<string, number>;
  readonly #open: Map<string, number>;
  /** Before and after the last STATE. */
  #sealed = none();
  #tail = none();

  constructor(checkpoint: Checkpoint | null) {
    this.#highest = new Map(Object.entries(checkpoint?.generations ?? {}));
    this.#open = new Map(Object.entries(checkpoint?.open_generations ?? {}));
  }

  /** What a stream writes without being told: its open generation, else its last one. */
  current(key: string): number {
    return this.#open.get(key) ?? Math.max(1, this.#highest.get(key) ?? 0);
  }

  /** Returns true if it is a new one, false if an open one goes on. */
  begin({ stream, generation, minimum }: GenerationBegin): boolean {
    const key = streamKey(stream);
    const fresh = this.#open.get(key) !== generation;
    if (fresh && generation < (this.#highest.get(key) ?? 0)) {
      throw protocolError(`stream ${key}: generation ${generation} begins, but ${this.#highest.get(key)} was there before`, { stream });
    }
    if (fresh) {
      // One that began since the last STATE and is replaced was never in any commit.
      this.#tail.begun = this.#tail.begun.filter((begun) => streamKey(begun.stream) !== key);
      this.#tail.completed = this.#tail.completed.filter((completed) => streamKey(completed) !== key);
      this.#tail.forgotten.push(key);
    }
    this.#tail.begun.push({ stream, generation, minimum });
    this.#open.set(key, generation);
    this.#highest.set(key, Math.max(generation, this.#highest.get(key) ?? 0));
    return fresh;
  }

  complete(stream: StreamDescriptor): void {
    const key = streamKey(stream);
    const generation = this.#open.get(key);
    if (generation === undefined) return;
    this.#open.delete(key);
    this.#tail.completed.push({ ...stream, generation });
  }

  /** What goes with the next commit, by stream. Returns the streams whose old states are void with it. */
  seal(begins: (key: string) => boolean, completions: (key: string) => boolean): string[] {
    const { begun, completed, forgotten } = this.#tail;
    const begunKey = ({ stream }: GenerationBegin): boolean => begins(streamKey(stream));
    const completedKey = (stream: StreamDescriptor): boolean => completions(streamKey(stream));
    this.#sealed.begun.push(...begun.filter(begunKey));
    this.#sealed.completed.push(...completed.filter(completedKey));
    this.#tail = {
      begun: begun.filter((begin) => !begunKey(begin)),
      completed: completed.filter((stream) => !completedKey(stream)),
      forgotten: forgotten.filter((key) => !begins(key)),
    };
    return forgotten.filter(begins);
  }

  /** True if the commit can say only one change a stream, and there are two: it must come in between. */
  mustCommitBefore(stream: StreamDescriptor): boolean {
    const key = streamKey(stream);
    return this.#sealed.completed.some((completed) => streamKey(completed) === key) || this.#sealed.begun.some((begun) => streamKey(begun.stream) === key);
  }

  get changed(): boolean {
    return this.#sealed.begun.length > 0 || this.#sealed.completed.length > 0;
  }

  takeSealed(): Pick<Changes, 'begun' | 'completed'> {
    const { begun, completed } = this.#sealed;
    this.#sealed = none();
    return { begun, completed };
  }
}

/**
 * Without a session nobody sends GENERATION: what the catalog's ids (or an overwrite) ask for. Undefined = the stream goes on
 * with what it has.
 */
export function generationOfCatalog(configured: ConfiguredStream, checkpoint: Checkpoint | null): GenerationBegin | undefined {
  const { name, namespace } = configured.stream;
  const stream = namespace ? { name, namespace } : { name };
  const key = streamKey(stream);
  const highest = checkpoint?.generations[key];
  const open = checkpoint?.open_generations?.[key];
  const asked = configured.generation_id ?? undefined;
  const overwrite = configured.destination_sync_mode === 'overwrite';
  const minimum = (generation: number): number => (overwrite ? generation : Math.min(configured.minimum_generation_id ?? 0, generation));
  const begin = (generation: number): GenerationBegin => ({ stream, generation, minimum: minimum(generation) });

  if (asked === undefined) return overwrite ? begin((highest ?? 0) + 1) : undefined;
  if (open === asked) return begin(asked);
  const refresh = overwrite || configured.sync_mode === 'full_refresh' || (configured.minimum_generation_id ?? 0) > 0;
  if (asked > (highest ?? 0)) return refresh || highest !== undefined ? begin(Math.max(asked, 1)) : undefined;
  // An overwrite that asks for a generation that is done already: again, from nothing.
  return overwrite ? begin((highest ?? 0) + 1) : undefined;
}
