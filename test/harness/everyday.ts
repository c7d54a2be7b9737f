/** What is tried every day, of all there is to try: `CHAOS=full` takes all. */
export const everyday = <const T>(all: readonly T[], few: readonly T[]): readonly T[] => (process.env['CHAOS'] === 'full' ? all : few);
