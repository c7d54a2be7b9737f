import type { ConnectorError } from './errors.js';

/** What `runner` and every connector of ours exit with. The numbers are a contract: docs/cli.md. */
export const ExitCode = {
  ok: 0,
  system: 1,
  transient: 75,
  protocol: 76,
  config: 78,
  interrupted: 130,
  terminated: 143,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export function exitCodeOf(error: ConnectorError): ExitCode {
  if (error.code === 'protocol') return ExitCode.protocol;
  switch (error.kind) {
    case 'config_error':
      return ExitCode.config;
    case 'transient_error':
      return ExitCode.transient;
    case 'system_error':
      return ExitCode.system;
  }
}
