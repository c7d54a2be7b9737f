/** Names close to one that was mistyped, nearest first: for "did you mean". Case counts for little. */
export function nearest(wanted: string, known: Iterable<string>, limit = 3): string[] {
  const from = wanted.toLowerCase();
  const scored: { name: string; distance: number }[] = [];
  for (const name of new Set(known)) {
    const to = name.toLowerCase();
    // A beginning or a part of the name is what people type from memory; it counts as one slip.
    const contained = from.length >= 3 && (to.includes(from) || (to.length >= 3 && from.includes(to)));
    const distance = contained ? Math.min(1, editDistance(from, to)) : editDistance(from, to);
    if (distance <= Math.max(1, Math.floor(Math.max(from.length, to.length) / 3))) scored.push({ name, distance });
  }
  return scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1)).slice(0, limit).map(({ name }) => name);
}

/** ` Did you mean 'a' or 'b'?`, or nothing: to be put behind a sentence. */
export function didYouMean(wanted: string, known: Iterable<string>, limit = 3): string {
  const names = nearest(wanted, known, limit).map((name) => `'${name}'`);
  if (names.length === 0) return '';
  return ` Did you mean ${names.length === 1 ? names[0] : `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`}?`;
}

/** Insertions, deletions, substitutions, and neighbours swapped. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let cost = Math.min(substitution, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
