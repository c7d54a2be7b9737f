import type { z } from 'zod';

type Issue = z.core.$ZodIssue;

/** What is wrong with a configuration: each field and what was expected there. Never a value: it may be a secret. */
export function describeIssues(error: { readonly issues: readonly Issue[] }): string {
  const seen = new Set(error.issues.flatMap((issue) => describeIssue(issue)));
  return [...seen].join('; ');
}

function describeIssue(issue: Issue, parent: readonly PropertyKey[] = []): string[] {
  const path = [...parent, ...issue.path];
  const field = path.length > 0 ? `'${path.map(String).join('.')}'` : 'the configuration';
  switch (issue.code) {
    case 'invalid_type':
      return [isMissing(issue) ? `${field} is missing (${issue.expected})` : `${field}: ${plain(issue.message)}`];
    case 'unrecognized_keys':
      return [`${path.length > 0 ? `${field} has` : 'there are'} unknown fields: ${issue.keys.map((key) => `'${key}'`).join(', ')}`];
    case 'invalid_union': {
      // Several alternatives: the one that came furthest says what was meant.
      const best = [...issue.errors].sort((a, b) => depth(b) - depth(a))[0];
      if (!best || depth(best) === 0) return [`${field}: ${plain(issue.message)}`];
      return best.flatMap((inner) => describeIssue(inner as Issue, path));
    }
    default:
      return [`${field}: ${plain(issue.message)}`];
  }
}

const isMissing = (issue: { readonly message: string }): boolean => issue.message.endsWith('received undefined');
const plain = (message: string): string => message.replace(/^Invalid (?:input|option|string): /, '');
const depth = (issues: readonly { readonly path: readonly PropertyKey[] }[]): number => Math.max(0, ...issues.map((issue) => issue.path.length));
