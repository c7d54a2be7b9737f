export * from './define.js';
export * from './definition.js';
export * from './items.js';
export * from './output.js';
export * from './run.js';
export * from './secret.js';
export { specOf } from './spec.js';
export type { Tool, ToolContext } from './tool.js';
export * from './until-aborted.js';
// What an author needs of the protocol: errors and the types of messages.
export {
  configError, ConnectorError, failpoint, systemError, transientError, toConnectorError,
  type AirbyteStream, type CatalogBody, type ConfiguredCatalog, type ConfiguredStream, type ConnectorErrorOptions, type ErrorKind,
  type LogLevel, type RecordChange, type Session, type StateBody, type StreamDescriptor,
} from '@tapline/protocol';
