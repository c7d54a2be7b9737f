import type { LineWriter, LogLevel, StreamDescriptor, StreamStatusValue, TaplineBody } from '@tapline/protocol';
import { toConnectorError } from '@tapline/protocol';

/**
 * The protocol's side of stdout: every message a connector can send. Nothing else may write to stdout.
 * Each method resolves once the pipe takes more.
 */
export class Output {
  readonly #writer: LineWriter;

  constructor(writer: LineWriter) {
    this.#writer = writer;
  }

  /** Whole lines, ends included. */
  lines(bytes: Buffer | string): Promise<void> {
    return this.#writer.bytes(bytes);
  }

  message(message: { readonly type: string; readonly [body: string]: unknown }): Promise<void> {
    return this.#writer.message(message);
  }

  /** In a session only. */
  extension(body: TaplineBody): Promise<void> {
    return this.message({ type: 'TAPLINE', tapline: body });
  }

  log(level: LogLevel, message: string): Promise<void> {
    return this.message({ type: 'LOG', log: { level, message } });
  }

  status(stream: StreamDescriptor, status: StreamStatusValue): Promise<void> {
    return this.#trace('STREAM_STATUS', { stream_status: { stream_descriptor: descriptorOf(stream), status } });
  }

  estimate(stream: StreamDescriptor, rows?: number, bytes?: number): Promise<void> {
    return this.#trace('ESTIMATE', { estimate: { ...descriptorOf(stream), type: 'STREAM', row_estimate: rows, byte_estimate: bytes } });
  }

  /** TRACE ERROR. The message must already be fit for a user. */
  error(thrown: unknown, stream?: StreamDescriptor): Promise<void> {
    const error = toConnectorError(thrown);
    const about = stream ?? error.stream;
    return this.#trace('ERROR', {
      error: {
        message: error.message,
        internal_message: error.internalMessage ?? (error.cause instanceof Error ? error.cause.message : undefined),
        stack_trace: error.stack,
        failure_type: error.kind,
        code: error.code,
        ...(about ? { stream_descriptor: descriptorOf(about) } : {}),
      },
    });
  }

  #trace(type: string, body: object): Promise<void> {
    return this.message({ type: 'TRACE', trace: { type, emitted_at: Date.now(), ...body } });
  }
}

const descriptorOf = ({ name, namespace }: StreamDescriptor): StreamDescriptor => (namespace ? { name, namespace } : { name });
