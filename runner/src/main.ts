/** The entry of `tapline` and `runner`. Help needs nothing but the table of commands: the rest is loaded when it is used. */
import { createRequire } from 'node:module';
import { parseCommandLine, UsageError } from './cli/arguments.js';
import { commands } from './cli/command-table.js';
import { commandHelp, generalHelp } from './cli/help.js';

const usage = 78;

async function main(argv: readonly string[]): Promise<number> {
  try {
    const invocation = parseCommandLine(argv);
    if (invocation.command === 'version') {
      const { version } = createRequire(import.meta.url)('tapline/package.json') as { version: string };
      process.stdout.write(`${version}\n`);
      return 0;
    }
    if (invocation.command === 'help') {
      const [about] = invocation.words;
      if (about !== undefined && !Object.hasOwn(commands, about)) throw new UsageError(`there is no command '${about}'.`, undefined, { wanted: about, known: Object.keys(commands) });
      process.stdout.write(about === undefined ? generalHelp() : commandHelp(about));
      return 0;
    }
    const { run } = await import('./cli/run.js');
    return await run(invocation);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { usageText } = await import('./cli/run.js');
    process.stderr.write(usageText(error));
    if (argv.includes('--json')) {
      const { failedSummary } = await import('./cli/failed-summary.js');
      const failure = { kind: 'config_error', message: error.message };
      process.stdout.write(`${JSON.stringify(argv[0] === 'sync' ? failedSummary('', failure) : { type: 'error', error: failure })}\n`);
    }
    return usage;
  }
}

// A reader that has seen enough (`| head`) is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
const exitCode = await main(process.argv.slice(2));
await new Promise((resolve) => process.stdout.write('', resolve));
process.exit(exitCode);
