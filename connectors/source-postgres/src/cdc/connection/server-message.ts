/** ErrorResponse and NoticeResponse: only the code counts. https://www.postgresql.org/docs/current/protocol-error-fields.html */

/** The SQLSTATE in the body of an `E` or `N` message. */
export function sqlStateOf(body: Buffer): string | undefined {
  for (let at = 0; at < body.length && body[at] !== 0; ) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) return undefined;
    if (body[at] === 0x43) return body.toString('latin1', at + 1, end);
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
