/** How a run shows itself: on a terminal, in a log, or to a script. */
import type { Redact } from '../engine/redact.js';
import type { Reporter } from '../types.js';
import { progressLine, type Progress } from './progress-line.js';

export interface Sinks {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

export interface RunReporter extends Reporter {
  /** Leaves the terminal on a fresh line. */
  close(): void;
}

export interface ReporterOptions extends Sinks {
  readonly redact: Redact;
  /** Debug messages too. */
  readonly verbose: boolean;
  readonly now?: () => number;
  /** Of the terminal. */
  readonly columns?: () => number | undefined;
}

const levels = { debug: 'debug: ', info: '', warn: 'warning: ', error: 'error: ' } as const;

/** One line that is rewritten, and messages above it. */
export function terminalReporter({ err, redact, verbose, now = Date.now, columns = () => undefined }: ReporterOptions): RunReporter {
  let shown = '';
  let last = 0;
  const clear = (): void => {
    if (shown !== '') err('\r\x1b[2K');
  };
  return {
    progress(progress: Progress) {
      if (now() - last < 200) return;
      last = now();
      clear();
      // A line that wraps could not be rewritten.
      shown = progressLine(progress).slice(0, (columns() ?? 80) - 1);
      err(shown);
    },
    message(level, text) {
      if (level === 'debug' && !verbose) return;
      clear();
      err(`${levels[level]}${redact(text)}\n${shown}`);
    },
    close() {
      clear();
      shown = '';
    },
  };
}

/** A line of progress every ten seconds: for cron's mail and for logs. */
export function quietReporter({ err, redact, verbose, now = Date.now }: ReporterOptions): RunReporter {
  let last = now();
  return {
    progress(progress: Progress) {
      if (now() - last < 10_000) return;
      last = now();
      err(`${progressLine(progress)}\n`);
    },
    message(level, text) {
      if (level !== 'debug' || verbose) err(`${levels[level]}${redact(text)}\n`);
    },
    close() {},
  };
}

/** JSON lines on stdout, the form of docs/cli.md; messages go to stderr. */
export function jsonReporter(options: ReporterOptions): RunReporter {
  const { out, now = Date.now } = options;
  const quiet = quietReporter(options);
  let last = 0;
  let held: Progress | undefined;
  const write = (progress: Progress): void => {
    last = now();
    held = undefined;
    const { records, bytes, seconds, streamsDone, streamsTotal, lag } = progress;
    out(`${JSON.stringify({
      type: 'progress', records, bytes, seconds, streams_done: streamsDone, streams_total: streamsTotal, lag_bytes: lag?.bytes, lag_seconds: lag?.seconds,
    })}\n`);
  };
  return {
    progress(progress: Progress) {
      if (now() - last >= 1000) write(progress);
      else held = progress;
    },
    message: quiet.message,
    // The last word on progress is never the one that was held back.
    close() {
      if (held) write(held);
    },
  };
}
