import { configError, ConnectorError, systemError, transientError } from '@tapline/protocol';

/** What a failed call to the operating system means to the user. `doing`: `write to`, `read`. */
export function localError(error: unknown, doing: string, path: string): ConnectorError {
  if (error instanceof ConnectorError) return error;
  const options = (code: string) => ({ code, cause: error });
  switch (codeOf(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return configError(`the disk is full: cannot ${doing} ${path}. Free some space; the next run goes on where this one stopped`, options('disk_full'));
    case 'EACCES':
    case 'EPERM':
      return configError(`no permission to ${doing} ${path}. Give the user of this process the rights, or choose another folder`, options('not_writable'));
    case 'EROFS':
      return configError(`cannot ${doing} ${path}: the disk is mounted read-only`, options('not_writable'));
    case 'ENOTDIR':
    case 'EEXIST':
    case 'EISDIR':
      return configError(`cannot ${doing} ${path}: something that is not a folder (or one where a file should be) is in the way`, options('not_a_folder'));
    case 'ENAMETOOLONG':
      return configError(`cannot ${doing} ${path}: the name is too long for this disk`, options('name_too_long'));
    case 'EXDEV':
      return configError(`cannot ${doing} ${path}: the whole folder must lie on one disk, and part of it is mounted from another`, options('two_disks'));
    case 'EMFILE':
    case 'ENFILE':
    case 'EAGAIN':
    case 'ESTALE':
    case 'ETIMEDOUT':
      return transientError(`cannot ${doing} ${path} at the moment (${codeOf(error)})`, options('disk_unavailable'));
    default:
      return systemError(`cannot ${doing} ${path}: ${error instanceof Error ? error.message : String(error)}`, options('disk_failed'));
  }
}

export const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException | undefined)?.code;
