/** Waits and limits, in milliseconds. Tests shorten them. */
export interface Timing {
  /** A connector has so long after SIGTERM, then its group gets SIGKILL. */
  readonly graceMs: number;
  /** The first wait before a retry; each further one is twice as long. */
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** So long an ended process' output may stay open, in the hands of a child of its own, without a byte. */
  readonly orphanedOutputMs: number;
  /** So long a destination may take to say OPENED: it may have to finish what a run before left. */
  readonly openMs: number;
  /** So long a source may take to confirm and go once its stdin is closed. */
  readonly confirmMs: number;
  readonly progressMs: number;
  readonly verbMs: Readonly<Record<'spec' | 'check' | 'discover', number>>;
}

export const defaultTiming: Timing = {
  graceMs: 10_000,
  retryBaseMs: 1_000,
  retryCapMs: 300_000,
  orphanedOutputMs: 5_000,
  openMs: 1_800_000,
  confirmMs: 60_000,
  progressMs: 250,
  verbMs: { spec: 60_000, check: 180_000, discover: 1_800_000 },
};
