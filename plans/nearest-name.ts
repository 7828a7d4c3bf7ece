/**
 * The name that was probably meant: within two edits (a third of a long name), else null. Ties go to the first.
 * Names over 64 characters are no typos.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | null {
  if (name.length > MAX_LENGTH) return null;
  let nearest: string | null = null;
  let nearestEdits = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    if (candidate.length > MAX_LENGTH || Math.abs(candidate.length - name.length) >= nearestEdits) continue;
    const edits = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (edits < nearestEdits && edits < name.length) [nearest, nearestEdits] = [candidate, edits];
  }
  return nearest;
}

/** `; did you mean x?` or nothing, to end a problem with. */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const nearest = nearestName(name, candidates);
  return nearest === null ? "" : `; did you mean ${nearest}?`;
}

const MAX_LENGTH = 64;

/** Levenshtein's distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
