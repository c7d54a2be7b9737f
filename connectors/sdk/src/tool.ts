/** Tools: what a connector can be asked beside moving records (its slots, its lag, digests of its tables), by name. */
import { readLines, systemError, type ConfiguredCatalog, type Session } from '@tapline/protocol';
import type { Readable } from 'node:stream';
import type { VerbContext } from './definition.js';
import type { Output } from './output.js';

/** Each object that it yields is one RESULT, written before the next is asked for. It ends by returning; what it throws fails it. */
export type Tool<Config> = ToolMethod<Config>['run'];

/** As a method, like the other members of a definition: so a definition of any configuration is a definition. */
interface ToolMethod<Config> {
  run(context: ToolContext<Config>, args: unknown): AsyncIterable<object>;
}

export interface ToolContext<Config> extends VerbContext<Config> {
  /** Where the runner gave one: the streams that it is about. */
  readonly catalog: ConfiguredCatalog | undefined;
  /** Says which sync it is about, and where scratch files may lie. */
  readonly session: Session | undefined;
  /**
   * What the runner asks while the tool runs, so that a tool can hold a snapshot over several questions: one JSON value a line of
   * stdin, parsed. Its end = nothing more will be asked.
   */
  readonly requests: AsyncIterable<unknown>;
}

/** The JSON values of an input, one a line. */
export async function* jsonLines(input: Readable): AsyncGenerator<unknown, void, undefined> {
  for await (const { bytes } of readLines(input)) {
    if (bytes.length === 0) continue;
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString());
    } catch {
      throw systemError(`a line of ${bytes.length} bytes on standard input is no JSON`, { code: 'bad_request' });
    }
    yield value;
  }
}

export async function runTool<Config>(tool: Tool<Config>, context: ToolContext<Config>, args: unknown, output: Output): Promise<void> {
  for await (const result of tool(context, args)) await output.message({ type: 'TAPLINE', tapline: { type: 'RESULT', result } });
}
