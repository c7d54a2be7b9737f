import { ExitCode } from '@tapline/protocol';

/** How long a connector whose parent died may take to come to a boundary. With the poll: gone within 10 seconds. */
const orphanGraceMs = 5000;
const parentPollMs = 2000;

/** The one abort signal of a process, and what it exits with once it has stopped. */
export class Shutdown {
  readonly #controller = new AbortController();
  #exitCode: number = ExitCode.ok;
  #signalled = false;

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Meaningful once `signal` is aborted. */
  get exitCode(): number {
    return this.#exitCode;
  }

  /** Stop at the next boundary. The first request decides the exit code. */
  request(reason: string, exitCode: number): void {
    if (this.signal.aborted) return;
    this.#exitCode = exitCode;
    this.#controller.abort(new DOMException(reason, 'AbortError'));
  }

  /** The first signal asks, the second ends. */
  onSignals(): void {
    const stop = (name: string, code: number) => (): void => {
      if (this.#signalled) process.exit(code);
      this.#signalled = true;
      this.request(`${name} received`, code);
      this.#exitCode = code;
    };
    process.on('SIGTERM', stop('SIGTERM', ExitCode.terminated));
    process.on('SIGINT', stop('SIGINT', ExitCode.interrupted));
  }

  /** A runner that was killed cannot tell us: its child gets another parent. */
  onParentDeath(): void {
    const parent = process.ppid;
    const timer = setInterval(() => {
      if (process.ppid === parent) return;
      clearInterval(timer);
      this.request('the parent process is gone', ExitCode.system);
      setTimeout(() => process.exit(ExitCode.system), orphanGraceMs);
    }, parentPollMs);
    timer.unref();
  }
}
