/**
 * Whether arrays and objects are nested deeper than `maxDepth`. Whoever walks a stranger's JSON by recursion, as
 * JSON.stringify does, asks this first: a few kilobytes of brackets exhaust the stack.
 */
export function isDeeperThan(value: unknown, maxDepth: number): boolean {
  let level = [value].filter(isContainer);
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > maxDepth) return true;
    level = level.flatMap((container) => Object.values(container).filter(isContainer));
  }
  return false;
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}
