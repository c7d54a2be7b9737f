/**
 * A connector's process. Started with plain `spawn`, not execa: with `buffer: false` execa 9 resumes every output that has no
 * reader after one turn of the event loop, and what was printed until we read is gone. A source is started before the
 * first line of a destination is answered, so that would lose records. It also ends a process, where we end its group.
 */
import { configError, readBlocks, systemError, type ConnectorError, type LineReaderOptions } from '@tapline/protocol';
import { spawn, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import type { ConnectorRef } from '../types.js';
import { identify, type ProcessIdentity } from '../store/process-identity.js';
import { OutputReader } from './output-reader.js';
import { StderrTail } from './stderr-tail.js';
import type { Timing } from './timing.js';

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly ref: ConnectorRef;
  /** The verb and its flags. */
  readonly args: readonly string[];
  readonly stdin: 'pipe' | 'ignore';
  readonly onStderr: (line: string) => void;
  readonly timing: Timing;
}

export class Child {
  readonly ref: ConnectorRef;
  readonly identity: ProcessIdentity;
  /** Resolves when the process has ended; its output may still hold bytes. Never rejects. */
  readonly exited: Promise<ChildExit>;
  readonly stderr: StderrTail;
  #exit: ChildExit | undefined;
  readonly #process: ChildProcess;
  readonly #output: OutputReader;
  readonly #timing: Timing;
  #graceTimer: NodeJS.Timeout | undefined;

  /** Rejects with a `config_error` when the program cannot be started. */
  static async start(options: ChildOptions): Promise<Child> {
    const { ref, args, stdin } = options;
    const child = spawn(ref.command, [...ref.args, ...args], {
      // Its own group: Ctrl-C reaches us alone, and what the connector started ends with it.
      detached: true,
      env: { ...ref.env },
      stdio: [stdin, 'pipe', 'pipe'],
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) => reject(cannotStart(ref, cause)));
    });
    return new Child(child, options);
  }

  private constructor(child: ChildProcess, { ref, onStderr, timing }: ChildOptions) {
    this.ref = ref;
    this.#process = child;
    this.#timing = timing;
    this.identity = identify(child.pid!);
    this.stderr = new StderrTail(child.stderr!, onStderr);
    // Now: at the end of a process Node resumes an output that nobody listens to, and what is in it is gone.
    this.#output = new OutputReader(child.stdout!);
    // Errors of a pipe show where it is read or written; without a listener they would end this process.
    child.stdin?.on('error', () => undefined);
    child.on('error', () => undefined);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal };
        clearTimeout(this.#graceTimer);
        this.#watchOrphanedOutput();
        resolve(this.#exit);
      });
    });
  }

  get stdin(): Writable | null {
    return this.#process.stdin;
  }

  get exit(): ChildExit | undefined {
    return this.#exit;
  }

  /** Its stdout as blocks of whole lines, to the end. A block is overwritten once the next one is asked for. To be iterated once. */
  blocks(options: Pick<LineReaderOptions, 'idleTimeoutMs'> = {}): AsyncGenerator<Buffer, void, undefined> {
    return readBlocks(this.#output.chunks(), { ...options, reused: true });
  }

  /** SIGTERM to the group now, SIGKILL once the grace period is over. */
  terminate(): void {
    if (this.#exit || this.#graceTimer) return;
    this.#signal('SIGTERM');
    this.#graceTimer = setTimeout(() => this.kill(), this.#timing.graceMs);
  }

  /** Takes back the SIGKILL of {@link terminate}: it is stopping in good order. */
  spare(): void {
    clearTimeout(this.#graceTimer);
  }

  kill(): void {
    this.#signal('SIGKILL');
  }

  /** Whatever is left of the group goes, and our ends of the pipes are closed. */
  async dispose(): Promise<void> {
    if (!this.#exit) this.kill();
    await this.exited;
    this.#signal('SIGKILL');
    this.#process.stdin?.destroy();
    this.#output.destroy();
    this.#process.stderr?.destroy();
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.identity.pid, signal);
    } catch {
      // Nobody of the group is left.
    }
  }

  /**
   * A connector's own child can outlive it and hold its output open: silence after the end is the end. Counted in ticks of
   * the event loop, not by the clock: what has arrived is read between two of them, however busy we are.
   */
  #watchOrphanedOutput(): void {
    const output = this.#output;
    let silentTicks = 0;
    let read = output.reads;
    const timer = setInterval(() => {
      silentTicks = output.isWaiting && read === output.reads ? silentTicks + 1 : 0;
      read = output.reads;
      if (silentTicks < orphanTicks) return;
      clearInterval(timer);
      this.kill();
      output.destroy();
    }, this.#timing.orphanedOutputMs / orphanTicks);
    timer.unref();
    output.onClose(() => clearInterval(timer));
  }
}

const orphanTicks = 10;

function cannotStart(ref: ConnectorRef, cause: Error): ConnectorError {
  const code = (cause as NodeJS.ErrnoException).code;
  const what: Readonly<Record<string, string>> = {
    ENOENT: `${ref.command} was not found`,
    EACCES: `${ref.command} may not be executed (chmod +x)`,
    ENOEXEC: `${ref.command} is not a program (does its first line begin with #! ?)`,
  };
  const reason = code === undefined ? undefined : what[code];
  if (reason) return configError(`cannot start the ${ref.role} ${ref.label}: ${reason}`, { code: 'cannot_start', cause });
  return systemError(`cannot start the ${ref.role} ${ref.label}: ${cause.message}`, { code: 'cannot_start', cause });
}
