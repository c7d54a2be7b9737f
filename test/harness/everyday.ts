/** What is tried every day, of all there is to try: `CHAOS=full` takes all. */
export const everyday = <const T>(all: readonly T[], few: readonly T[]): readonly T[] => (isFull() ? all : few);

/**
 * So many of `all` a day, the next ones tomorrow: of cases that are alike, and that smaller tests try every day. `EVERYDAY=n` takes those of
 * another day, counted from 0.
 */
export const byTurns = <const T>(all: readonly T[], count = 1): readonly T[] =>
  (isFull() ? all : Array.from({ length: Math.min(count, all.length) }, (_, i) => all[(today() * count + i) % all.length]!));

/** Of each group the ones that are not today's. */
export const notToday = (groups: readonly (readonly string[])[]): readonly string[] => groups.flatMap((group) => group.filter((one) => !byTurns(group).includes(one)));

/** The versions of PostgreSQL that a file's tests take: the newest every day, the oldest as well every third day, not the same one for all files. */
export const postgresVersions = (file: string): readonly (14 | 18)[] =>
  (isFull() || (file.length + today()) % 3 === 0 ? [18, 14] : [18]);

const isFull = (): boolean => process.env['CHAOS'] === 'full';
const today = (): number => Number(process.env['EVERYDAY'] ?? Math.floor(Date.now() / 86_400_000));
