import { byTurns } from '../harness/everyday.js';

// `auto`: a destination of a test's own may know no batches.
const transports = ['auto', 'json'] as const;
let runs = transports.indexOf(byTurns(transports)[0]!);

/** By lines and by batches in turn, from run to run: a sync may go on by the other. Which is the first changes from day to day. */
export const transportInTurn = (): readonly string[] => ['--transport', transports[runs++ % transports.length]!];
