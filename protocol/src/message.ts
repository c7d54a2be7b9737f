/** A whole message: its type, and the body under the name that belongs to it. For tests and control channels, not for the hot path. */
import { z } from 'zod';
import { TaplineBody } from './extension.js';
import {
  CatalogBody, ConnectionStatusBody, ControlBody, DestinationCatalogBody, LogBody, RecordBody, SpecBody, StateBody, TraceBody,
} from './messages.js';

export const Message = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('RECORD'), record: RecordBody }),
  z.looseObject({ type: z.literal('STATE'), state: StateBody }),
  z.looseObject({ type: z.literal('LOG'), log: LogBody }),
  z.looseObject({ type: z.literal('SPEC'), spec: SpecBody }),
  z.looseObject({ type: z.literal('CONNECTION_STATUS'), connectionStatus: ConnectionStatusBody }),
  z.looseObject({ type: z.literal('CATALOG'), catalog: CatalogBody }),
  z.looseObject({ type: z.literal('TRACE'), trace: TraceBody }),
  z.looseObject({ type: z.literal('CONTROL'), control: ControlBody }),
  z.looseObject({ type: z.literal('DESTINATION_CATALOG'), destination_catalog: DestinationCatalogBody }),
  z.looseObject({ type: z.literal('TAPLINE'), tapline: TaplineBody }),
]);
export type Message = z.infer<typeof Message>;
