/** ErrorResponse and NoticeResponse: only the code counts. https://www.postgresql.org/docs/current/protocol-error-fields.html */

const severity = 0x56;
const sqlState = 0x43;

/** The SQLSTATE in the body of an `E` or `N` message. */
export const sqlStateOf = (body: Buffer): string | undefined => fieldOf(body, sqlState);

/** Severity `V` is never translated. */
export const isWarning = (body: Buffer, code: string): boolean => fieldOf(body, severity) === 'WARNING' && fieldOf(body, sqlState) === code;

function fieldOf(body: Buffer, field: number): string | undefined {
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) return undefined;
    if (body[at] === field) return body.toString('latin1', at + 1, end);
    at = end + 1;
  }
  return undefined;
}

export const messageType = {
  copyBothResponse: 0x57,
  copyDone: 0x63,
  commandComplete: 0x43,
  error: 0x45,
  notice: 0x4e,
  query: 0x51,
  readyForQuery: 0x5a,
} as const;
