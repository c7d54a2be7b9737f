export {
  absentValue, asNumber, canonicalValue, columnHashes, keyHash, keyValues, rangeOf, rowHash, type CanonicalColumn, type CanonicalValue,
} from './canonical-sql.js';
export { cancel, openClient, type OpenClient, type RawClient } from './client.js';
export { classify, config, connectionCodes, system, transient, type Attempt, type Known, type Purpose } from './classify.js';
export { mayComeBack, patiently, type Patience } from './patience.js';
export { pinSettings, valueForms } from './settings.js';
export { identifier, literal, qualified } from './sql.js';
export { addressFields, connectFields, sslModes, targetOf, type ConnectionConfig, type SslMode, type Target } from './target.js';
