import { ConnectorError, configError, toConnectorError } from '@tapline/protocol';

const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full; free some space, or set staging_dir to another directory',
  EDQUOT: 'its disk quota is used up; free some space, or set staging_dir to another directory',
  EACCES: 'this user may not write there; change its permissions, or set staging_dir to another directory',
  EPERM: 'this user may not write there; change its permissions, or set staging_dir to another directory',
  EROFS: 'its file system is read-only; set staging_dir to another directory',
  ENOTDIR: 'a part of its path is a file; configure a directory',
  EEXIST: 'a file stands in its place; configure a directory',
  ENOENT: 'it does not exist and cannot be made; set staging_dir to another directory',
  EMFILE: 'this process may not open more files; raise its limit (ulimit -n), or select fewer streams',
};

/** What went wrong with the staging directory, as the user can act on it. Any other error comes back as it is. */
export function stagingError(directory: string, error: unknown): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const code = (error as NodeJS.ErrnoException | null)?.code;
  const known = typeof code === 'string' ? advice[code] : undefined;
  if (known === undefined) return toConnectorError(error);
  return configError(`cannot write to the staging directory ${directory}: ${known}. What was committed is safe; the next run goes on from there.`, {
    code: 'staging', cause: error,
  });
}
