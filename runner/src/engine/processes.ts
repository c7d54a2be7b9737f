/**
 * The two processes of an attempt. One that can wait for its task (`start`) is started before there is one, so that it has loaded its
 * code by then.
 */
import { argumentsOf, writeTask, type ArgumentsOptions, type Task } from './connector-arguments.js';
import { Child } from './child.js';
import type { RunContext } from './run-context.js';

type Role = 'source' | 'destination';

export class Processes {
  readonly #context: RunContext;
  readonly #waiting = new Map<Role, Promise<Child>>();

  constructor(context: RunContext) {
    this.#context = context;
  }

  /** Starts it, if it can wait. A failure is told by {@link start}. */
  prepare(role: Role, options: ArgumentsOptions): void {
    if (!options.extensions.includes('start')) return;
    const child = argumentsOf(this.#context, role, options).then((args) => this.#spawn(role, args));
    child.catch(() => undefined);
    this.#waiting.set(role, child);
  }

  /** Resolves with the process that has its task: the one that waits for it, or a new one. Rejects with a `config_error` when it cannot be started. */
  async start(role: Role, { task, ...options }: ArgumentsOptions & { readonly task: Task }): Promise<Child> {
    const waiting = await this.#waiting.get(role);
    if (waiting) await writeTask(this.#context, role, task);
    const child = waiting ?? (await this.#spawn(role, await argumentsOf(this.#context, role, options, task)));
    this.#waiting.delete(role);
    // Whether it was taken shows in what the process does.
    if (options.extensions.includes('start')) child.stdin!.write(`${JSON.stringify({ type: 'TAPLINE', tapline: { type: 'START', source: task.identity } })}\n`);
    return child;
  }

  /** Those that got no task: they have done nothing, and are ended at once. */
  async dispose(): Promise<void> {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    await Promise.all(waiting.map(async (child) => (await child.catch(() => undefined))?.dispose()));
  }

  async #spawn(role: Role, args: readonly string[]): Promise<Child> {
    const { timing, reporter, record } = this.#context;
    const { ref, redact } = this.#context[role];
    const session = args.includes('--session');
    const child = await Child.start({
      ref, args, timing, stdin: role === 'destination' || session ? 'pipe' : 'ignore',
      onStderr: (line) => reporter.message('debug', `${ref.label}: ${redact(line)}`),
    });
    await record.child(role, child.identity);
    return child;
  }
}
