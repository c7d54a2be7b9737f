/** What both ends say beside data: LOG, TRACE and CONTROL. Lenient: what a connector means counts more than its form. */
import {
  ConnectorError, type ErrorKind, type StreamDescriptor, type StreamStatusValue, type Envelope,
} from '@tapline/protocol';
import type { ConnectorRef, Reporter } from '../types.js';
import type { Junk } from './junk.js';
import type { Redact } from './redact.js';

export interface MessageListener {
  error(error: ConnectorError): void;
  status?(descriptor: StreamDescriptor, status: StreamStatusValue): void;
  /** Rows that a stream is expected to have; without a descriptor, the whole sync. */
  estimate?(descriptor: StreamDescriptor | undefined, rows: number): void;
  config?(config: Readonly<Record<string, unknown>>): void;
}

export interface MessageContext {
  readonly ref: ConnectorRef;
  readonly redact: Redact;
  readonly reporter: Reporter;
  readonly junk: Junk;
  readonly listener: MessageListener;
}

const levels: Readonly<Record<string, 'debug' | 'info' | 'warn' | 'error'>> = { FATAL: 'error', ERROR: 'error', WARN: 'warn', INFO: 'info' };
const kinds: readonly string[] = ['config_error', 'transient_error', 'system_error'] satisfies ErrorKind[];
const statuses: readonly string[] = ['STARTED', 'RUNNING', 'COMPLETE', 'INCOMPLETE'] satisfies StreamStatusValue[];

/** True = it was one of LOG, TRACE, CONTROL. */
export function takeMessage(line: Buffer, envelope: Envelope, context: MessageContext): boolean {
  const { type, bodyStart, bodyEnd } = envelope;
  if (type !== 'LOG' && type !== 'TRACE' && type !== 'CONTROL') return false;
  const body = parse(line, bodyStart, bodyEnd);
  if (!body) context.junk.once(`${type} without a body`, `${context.ref.label} sent a ${type} without a body; it is ignored`);
  else if (type === 'LOG') log(body, context);
  else if (type === 'TRACE') trace(body, context);
  else control(body, context);
  return true;
}

type Body = { readonly [key: string]: unknown };

function log(body: Body, { ref, redact, reporter }: MessageContext): void {
  const level = levels[String(body.level)] ?? 'debug';
  reporter.message(level, `${ref.label}: ${redact(textOf(body.message))}`);
  if (typeof body.stack_trace === 'string') reporter.message('debug', `${ref.label}: ${redact(body.stack_trace)}`);
}

function trace(body: Body, context: MessageContext): void {
  const { listener, ref, redact, reporter, junk } = context;
  if (body.type === 'ERROR') {
    listener.error(errorOf(isBody(body.error) ? body.error : {}, redact));
  } else if (body.type === 'STREAM_STATUS' && isBody(body.stream_status)) {
    const descriptor = descriptorOf(body.stream_status.stream_descriptor);
    const status = String(body.stream_status.status);
    if (descriptor && statuses.includes(status)) listener.status?.(descriptor, status as StreamStatusValue);
    if (Array.isArray(body.stream_status.reasons) && JSON.stringify(body.stream_status.reasons).includes('RATE_LIMITED')) {
      reporter.message('info', `${ref.label}: ${descriptor?.name ?? 'a stream'} waits: the upstream limits the rate`);
    }
  } else if (body.type === 'ESTIMATE' && isBody(body.estimate)) {
    const rows = body.estimate.row_estimate;
    if (typeof rows === 'number') listener.estimate?.(body.estimate.type === 'SYNC' ? undefined : descriptorOf(body.estimate), rows);
  } else if (body.type === 'ANALYTICS') {
    reporter.message('debug', `${ref.label}: analytics ${redact(JSON.stringify(body.analytics ?? {})).slice(0, 500)}`);
  } else {
    junk.once(`trace ${String(body.type)}`, `${ref.label} sent a TRACE that we do not know; such messages are ignored`);
  }
}

function errorOf(body: Body, redact: Redact): ConnectorError {
  // Without a kind it is nobody's fault but the connector's: not retried.
  const kind = kinds.includes(String(body.failure_type)) ? (body.failure_type as ErrorKind) : 'system_error';
  const message = textOf(body.message) || textOf(body.internal_message) || 'it failed without saying why';
  const stream = descriptorOf(body.stream_descriptor);
  const internal = [body.internal_message, body.stack_trace].filter((one) => typeof one === 'string').join('\n');
  return new ConnectorError(kind, redact(message), {
    code: typeof body.code === 'string' && body.code !== 'protocol' ? body.code : 'reported',
    ...(stream ? { stream: { name: stream.name, namespace: stream.namespace ?? undefined } } : {}),
    ...(internal ? { internalMessage: redact(internal) } : {}),
  });
}

function control(body: Body, { listener, ref, junk }: MessageContext): void {
  const config = body.type === 'CONNECTOR_CONFIG' && isBody(body.connectorConfig) ? body.connectorConfig.config : undefined;
  if (isBody(config)) listener.config?.(config);
  else junk.once(`control ${String(body.type)}`, `${ref.label} sent a CONTROL that we do not know; such messages are ignored`);
}

const isBody = (value: unknown): value is Body => typeof value === 'object' && value !== null && !Array.isArray(value);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : value === undefined || value === null ? '' : JSON.stringify(value));

function descriptorOf(value: unknown): StreamDescriptor | undefined {
  if (!isBody(value) || typeof value.name !== 'string') return undefined;
  return typeof value.namespace === 'string' && value.namespace !== '' ? { name: value.name, namespace: value.namespace } : { name: value.name };
}

function parse(line: Buffer, start: number, end: number): Body | undefined {
  if (start === -1) return undefined;
  try {
    const value: unknown = JSON.parse(line.toString('utf8', start, end));
    return isBody(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
