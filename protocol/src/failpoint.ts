/**
 * Named places at which a crash test ends or stops this process. Armed by the session's `failpoints` (the runner
 * takes them from TAPLINE_FAILPOINTS); unarmed, a call is one lookup in an empty map.
 */
type Action = 'kill' | 'stop' | 'exit';
const armed = new Map<string, { action: Action; hits: number }>();

/** `name[@hit]:kill|stop|exit`: at the hit-th passage (1 = the first) SIGKILL, SIGSTOP, or exit(1). */
export function armFailpoints(specs: readonly string[]): void {
  for (const spec of specs) {
    const match = /^([\w.-]+)(?:@(\d+))?:(kill|stop|exit)$/.exec(spec);
    if (!match) throw new Error(`failpoint '${spec}' is not of the form name[@hit]:kill|stop|exit`);
    armed.set(match[1]!, { action: match[3] as Action, hits: Number(match[2] ?? 1) });
  }
}

/** Passes the named place. Does nothing unless a test armed it. */
export function failpoint(name: string): void {
  if (armed.size === 0) return;
  const point = armed.get(name);
  if (!point || --point.hits > 0) return;
  armed.delete(name);
  if (point.action === 'exit') process.exit(1);
  process.kill(process.pid, point.action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
}
