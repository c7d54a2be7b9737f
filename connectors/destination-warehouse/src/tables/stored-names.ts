/** Names of the source as text that every engine holds: PostgreSQL has no NUL, and no half of a surrogate pair. */
const plain = /^(?!")[^\0\p{Surrogate}]*$/u;

export const encodeName = (name: string): string => (plain.test(name) ? name : JSON.stringify(name));
export const decodeName = (stored: string): string => (stored.startsWith('"') ? (JSON.parse(stored) as string) : stored);
