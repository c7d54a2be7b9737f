/** What the end of a process means. */
import { protocolError, systemError, type ConnectorError } from '@tapline/protocol';
import type { Child, ChildExit } from './child.js';
import type { Redact } from './redact.js';

export const isClean = (exit: ChildExit): boolean => exit.code === 0;

/** Stopping on request: 0, 143 and death by that very signal are all in order. */
export const isCleanStop = (exit: ChildExit): boolean =>
  exit.code === 0 || exit.code === 143 || exit.code === 130 || exit.signal === 'SIGTERM' || exit.signal === 'SIGINT';

/** A process that ended badly and sent no TRACE ERROR. Retried once. */
export function diedError(child: Child, exit: ChildExit, redact: Redact): ConnectorError {
  const how = exit.signal ? `was killed by ${exit.signal}` : `exited with ${exit.code}`;
  const why = exit.signal === 'SIGKILL' ? ' (out of memory?)' : '';
  const words = redact(child.stderr.lastWords());
  return systemError(
    `the ${child.ref.role} ${child.ref.label} ${how}${why} without an error message` +
      (words ? `; the last line of its stderr: ${words}` : '; run again with --verbose to see what it logged'),
    { code: 'died' },
  );
}

export const earlyExitError = (child: Child): ConnectorError =>
  protocolError(`the ${child.ref.role} ${child.ref.label} exited with 0 before its input had ended`);
