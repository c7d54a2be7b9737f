/** Histories of two tables as a source of changes tells them, and what must be seen of them at a state. */
export type Step =
  | { readonly kind: 'row'; readonly stream: string; readonly id: number; readonly version: number; readonly partly: boolean; readonly generation: number }
  /** Each version declares one column more. */
  | { readonly kind: 'schema'; readonly stream: string; readonly version: number }
  | { readonly kind: 'begin' | 'complete'; readonly stream: string; readonly generation: number }
  /** Without a stream it is about all of them. */
  | { readonly kind: 'state'; readonly at: number; readonly stream?: string };

export interface RandomHistory {
  readonly steps: Step[];
  /** A number from 0, below another; goes on where the history left off. */
  pick(below: number): number;
}

/** The same seed gives the same history. Ends with states that cover everything. Generations come with GLOBAL states only: a STREAM's begins with its run. */
export function randomHistory({ seed, length, kind }: { readonly seed: number; readonly length: number; readonly kind: 'GLOBAL' | 'STREAM' }): RandomHistory {
  let random = seed;
  const pick = (below: number): number => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) >>> 0;
    return (random >>> 8) % below;
  };
  const steps: Step[] = [];
  const tables = new Map(['a', 'b'].map((stream) => [stream, { generation: 1, copying: false, version: 0 }]));
  const state = (stream: string): void => void steps.push(kind === 'GLOBAL' ? { kind: 'state', at: steps.length } : { kind: 'state', at: steps.length, stream });
  let rows = 0;
  while (steps.length < length) {
    const stream = pick(2) === 0 ? 'a' : 'b';
    const table = tables.get(stream)!;
    const drawn = pick(22);
    const what = kind === 'STREAM' && drawn > 14 && drawn < 20 ? 0 : drawn;
    const push = (phase: 'begin' | 'complete'): void => void steps.push({ kind: phase, stream, generation: table.generation });
    if (what < 10) {
      for (let n = pick(6); n >= 0; n--) steps.push({ kind: 'row', stream, id: ++rows, version: table.version, partly: pick(5) === 0, generation: table.generation });
    } else if (what < 15) state(stream);
    else if (what < 17) {
      table.generation++;
      table.copying = true;
      push('begin');
    } else if (what < 19 && table.copying) {
      table.copying = false;
      push('complete');
    } else if (what === 19) {
      table.generation++;
      table.copying = false;
      push('begin');
      push('complete');
    } else if (what > 19) steps.push({ kind: 'schema', stream, version: ++table.version });
  }
  for (const stream of tables.keys()) state(stream);
  return { steps, pick };
}

export interface SeenRow {
  readonly id: number;
  readonly generation: number;
  /** Value of the newest column that was declared when it came; null with version 0. */
  readonly newest: number | null;
  readonly unchanged: string | null;
}

/** What is seen of a stream, in its order, once the state at this place is committed; -1 = none is. */
export function visibleAt(steps: readonly Step[], position: number, of: string): SeenRow[] {
  let visible: SeenRow[] = [];
  let open: { readonly generation: number; readonly rows: SeenRow[] } | undefined;
  for (const step of steps.slice(0, position + 1)) {
    if (step.stream !== of) continue;
    if (step.kind === 'row') {
      const { id, generation, version, partly } = step;
      (open?.rows ?? visible).push({ id, generation, newest: version === 0 ? null : id, unchanged: partly ? '["note"]' : null });
    } else if (step.kind === 'begin') open = { generation: step.generation, rows: [] };
    else if (step.kind === 'complete' && open?.generation === step.generation) {
      visible = open.rows;
      open = undefined;
    }
  }
  return visible;
}

/** As it is declared after the state at this place. */
export function versionAt(steps: readonly Step[], position: number, of: string): number {
  return steps.slice(0, position + 1).reduce((version, step) => (step.kind === 'schema' && step.stream === of ? step.version : version), 0);
}

export function propertiesOf(version: number): Record<string, { readonly tapline_type: string }> {
  const added = Array.from({ length: version }, (_, i) => [`c${i + 1}`, { tapline_type: 'int64' }]);
  return { id: { tapline_type: 'int64' }, note: { tapline_type: 'text' }, ...(Object.fromEntries(added) as object) };
}

export function lineOf(step: Step): string {
  if (step.kind === 'state') {
    const body = step.stream === undefined
      ? `"type":"GLOBAL","global":{"shared_state":{"at":${step.at}},"stream_states":[]}`
      : `"type":"STREAM","stream":{"stream_descriptor":{"name":"${step.stream}"},"stream_state":{"at":${step.at}}}`;
    return `{"type":"STATE","state":{"id":${step.at + 1},${body}}}\n`;
  }
  const { stream } = step;
  if (step.kind === 'row') {
    const newest = step.version === 0 ? '' : `,"c${step.version}":${step.id}`;
    const data = step.partly ? `{"id":${step.id}${newest}},"meta":{"unchanged":["note"]}` : `{"id":${step.id},"note":"x"${newest}}`;
    return `{"type":"RECORD","record":{"stream":"${stream}","emitted_at":1700000000000,"data":${data}}}\n`;
  }
  if (step.kind === 'schema') {
    const tapline = { type: 'SCHEMA', schema_version: step.version, stream: { name: stream, json_schema: { properties: propertiesOf(step.version) } } };
    return `${JSON.stringify({ type: 'TAPLINE', tapline })}\n`;
  }
  return `{"type":"TAPLINE","tapline":{"type":"GENERATION","stream_descriptor":{"name":"${stream}"},"generation_id":${step.generation},"minimum_generation_id":${step.generation},"phase":"${step.kind}"}}\n`;
}
