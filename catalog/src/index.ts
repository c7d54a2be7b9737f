export * from './forms.js';
export * from './types.js';
