/** Which generation each stream writes, and what begins and ends with the next commit. */
import { protocolError, streamKey, type Checkpoint, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import type { CompletedGeneration, GenerationBegin } from '../sink.js';

interface Changes {
  begun: GenerationBegin[];
  completed: (CompletedGeneration & { readonly generation: number })[];
  /** Streams whose old state must not outlive the commit. */
  forgotten: string[];
}

type ByGeneration = (key: string, generation: number) => boolean;

const none = (): Changes => ({ begun: [], completed: [], forgotten: [] });

export class Generations {
  readonly #highest: Map<string, number>;
  readonly #open: Map<string, { readonly generation: number; readonly minimum: number }>;
  /** Before and after the last STATE. Both in the order in which they came: the sink makes of one stream's what they mean together. */
  #sealed = none();
  #tail = none();

  constructor(checkpoint: Checkpoint | null) {
    this.#highest = new Map(Object.entries(checkpoint?.generations ?? {}));
    this.#open = new Map(Object.entries(checkpoint?.open_generations ?? {}).map(([key, generation]) => [key, { generation, minimum: 0 }]));
  }

  /** What a stream writes without being told: its open generation, else its last one. */
  current(key: string): number {
    return this.#open.get(key)?.generation ?? Math.max(1, this.#highest.get(key) ?? 0);
  }

  /** Says which open generation gives way to it, whose rows nobody will see; undefined if an open one goes on. */
  begin({ stream, generation, minimum }: GenerationBegin): { readonly replaced: number | undefined } | undefined {
    const key = streamKey(stream);
    const open = this.#open.get(key);
    const fresh = open?.generation !== generation;
    if (fresh && generation < (this.#highest.get(key) ?? 0)) {
      throw protocolError(`stream ${key}: generation ${generation} begins, but ${this.#highest.get(key)} was there before`, { stream });
    }
    if (fresh) this.#tail.forgotten.push(key);
    this.#tail.begun.push({ stream, generation, minimum });
    this.#open.set(key, { generation, minimum });
    this.#highest.set(key, Math.max(generation, this.#highest.get(key) ?? 0));
    return fresh ? { replaced: open?.generation } : undefined;
  }

  /** The stream's open generation ends; nothing if `generation` is one that another replaced meanwhile. Returns below which generation rows leave. */
  complete(stream: StreamDescriptor, generation?: number): { readonly minimum: number } | undefined {
    const key = streamKey(stream);
    const open = this.#open.get(key);
    if (open === undefined || (generation !== undefined && generation !== open.generation)) return undefined;
    this.#open.delete(key);
    this.#tail.completed.push({ ...stream, generation: open.generation });
    return open;
  }

  /** What goes with the next commit, by stream and generation. Returns the streams whose old states are void with it. */
  seal(begins: ByGeneration, completions: ByGeneration): string[] {
    const { begun, completed, forgotten } = this.#tail;
    if (begun.length === 0 && completed.length === 0) return [];
    const sealed = new Set<string>();
    this.#tail = none();
    for (const begin of begun) {
      const key = streamKey(begin.stream);
      const goes = begins(key, begin.generation);
      (goes ? this.#sealed : this.#tail).begun.push(begin);
      if (goes) sealed.add(key);
    }
    for (const completion of completed) (completions(streamKey(completion), completion.generation) ? this.#sealed : this.#tail).completed.push(completion);
    this.#tail.forgotten = forgotten.filter((key) => !sealed.has(key));
    return forgotten.filter((key) => sealed.has(key));
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
