/**
 * Named places at which a crash test ends or stops this process. Armed by the session's `failpoints` (the runner
 * takes them from TAPLINE_FAILPOINTS); unarmed, a call is one lookup in an empty map.
 */
import { writeFileSync } from 'node:fs';

type Action = 'kill' | 'stop' | 'exit';
const armed = new Map<string, { action: Action; hits: number; marker: string | undefined }>();

/**
 * `name[@hit]:kill|stop|exit[>FILE]`: at the hit-th passage (1 = the first) SIGKILL, SIGSTOP, or exit(1). With FILE it
 * acts once over all processes: the first to create FILE, with its pid in it, acts; so a test can tell that it fired, and on whom.
 */
export function armFailpoints(specs: readonly string[]): void {
  for (const spec of specs) {
    const match = /^([\w.-]+)(?:@(\d+))?:(kill|stop|exit)(?:>(.+))?$/.exec(spec);
    if (!match) throw new Error(`failpoint '${spec}' is not of the form name[@hit]:kill|stop|exit[>FILE]`);
    armed.set(match[1]!, { action: match[3] as Action, hits: Number(match[2] ?? 1), marker: match[4] });
  }
}

/** Passes the named place. Does nothing unless a test armed it. */
export function failpoint(name: string): void {
  if (armed.size === 0) return;
  const point = armed.get(name);
  if (!point || --point.hits > 0) return;
  armed.delete(name);
  if (point.marker !== undefined && !createOnce(point.marker)) return;
  if (point.action === 'exit') process.exit(1);
  process.kill(process.pid, point.action === 'kill' ? 'SIGKILL' : 'SIGSTOP');
}

function createOnce(marker: string): boolean {
  try {
    writeFileSync(marker, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch {
    return false;
  }
}
