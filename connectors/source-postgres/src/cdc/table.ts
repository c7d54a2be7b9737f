/** One table that is replicated: how far its copy is, and which changes follow it. */
import { configError, streamKey, type ConfiguredStream, type StreamDescriptor } from '@tapline/protocol';
import { schema, type SourceItem } from '@tapline/sdk';
import { label } from '../reading.js';
import { formatLsn, parseLsn, type Lsn } from './lsn.js';
import type { TableState } from './state.js';
import { configuredNames, StreamSchema } from './stream-schema.js';
import { Snapshot } from './visibility.js';

/** What a copy saw, and the position by which all of that was in the log. */
export interface CopyPoint {
  readonly snapshot: Snapshot;
  readonly until: Lsn;
}

export class Table {
  readonly key: string;
  readonly stream: StreamDescriptor;
  readonly configured: ConfiguredStream;
  readonly schema: StreamSchema;
  phase: TableState['phase'] = 'pending';
  generation: number;
  oid: number;
  /** Of the copy that is running or was made; undefined once no change can be in both. */
  copied: CopyPoint | undefined;
  /** Transactions whose changes were passed over since no copy had begun: the copy must see them. */
  readonly passedOver = new Set<number>();
  /** Copies that were interrupted, one after another. */
  failures = 0;
  #schemaVersion = 0;

  constructor(configured: ConfiguredStream, oid: number, state: TableState | undefined) {
    const { name, namespace } = configured.stream;
    this.stream = namespace ? { name, namespace } : { name };
    this.key = streamKey(this.stream);
    this.configured = configured;
    this.oid = oid;
    this.generation = Math.max(configured.generation_id ?? 0, state?.generation ?? 0);
    // Dropped and made again: another table. What is out of the old one leaves with the next generation.
    const goesOn = state?.phase === 'streaming' && state.oid === oid;
    this.schema = new StreamSchema(configured.stream, goesOn ? state.columns : undefined, goesOn ? state.late : undefined);
    if (!goesOn) return;
    this.phase = 'streaming';
    if (state.snapshot !== undefined && state.until !== undefined) {
      this.copied = { snapshot: Snapshot.parse(state.snapshot), until: parseLsn(state.until) };
    }
  }

  /** Whether the changes of a transaction belong to what follows the copy. */
  follows(xid: number, commitLsn: Lsn): boolean {
    if (this.phase === 'pending') {
      this.passedOver.add(xid);
      return false;
    }
    if (!this.copied) return true;
    if (this.phase === 'streaming' && commitLsn >= this.copied.until) {
      this.copied = undefined;
      return true;
    }
    return !this.copied.snapshot.sees(xid);
  }

  /** A copy begins. False if it does not see all that was passed over: a transaction is in the log before it is visible. */
  copyFrom(point: CopyPoint): boolean {
    for (const xid of this.passedOver) if (!point.snapshot.sees(xid)) return false;
    this.passedOver.clear();
    this.phase = 'copying';
    this.copied = point;
    return true;
  }

  /** The copy was lost: it begins anew. */
  startOver(): void {
    this.phase = 'pending';
    this.copied = undefined;
  }

  /** What the destination is to be told of its columns before the next record, if anything. */
  takeSchema(): SourceItem | undefined {
    const changed = this.schema.takeChange();
    return changed && schema(changed, ++this.#schemaVersion);
  }

  get state(): TableState {
    const { phase, generation, oid, copied } = this;
    return {
      v: 1, mode: 'cdc', phase, generation, oid,
      ...(phase === 'streaming' && copied && { snapshot: copied.snapshot.text, until: formatLsn(copied.until) }),
      ...(phase === 'streaming' && { columns: this.schema.columns, ...(this.schema.late.length > 0 && { late: this.schema.late }) }),
    };
  }

  /** Of the columns as they are configured. */
  get columnNames(): readonly string[] {
    return configuredNames(this.configured.stream);
  }

  get primaryKey(): readonly string[] {
    return (this.configured.stream.source_defined_primary_key ?? []).map(([column]) => column ?? '');
  }

  /** The columns by which a destination tells rows apart must be in every change. */
  requireKey(carried: readonly string[]): void {
    const missing = this.primaryKey.filter((column) => !carried.includes(column));
    if (missing.length === 0) return;
    throw configError(
      `${label(this.stream)}: its replica identity no longer holds ${missing.map((column) => `'${column}'`).join(', ')} of its key, so a deleted row cannot be told: ` +
        `ALTER TABLE ${label(this.stream)} REPLICA IDENTITY DEFAULT (or FULL), and copy the table again with --full-refresh`,
      { code: 'pg_identity', stream: this.stream },
    );
  }
}
