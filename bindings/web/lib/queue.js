// Work in slices, so that a page with many previews stays responsive.

/** A slice leaves half of a frame to the page. */
const SLICE_MS = 8;

const waiting = [];
let isRunning = false;

/** Runs a task: soon, in the order of calls. */
export function enqueue(task) {
  waiting.push(task);
  if (isRunning) return;
  isRunning = true;
  // The first slice runs before the next frame is painted.
  queueMicrotask(slice);
}

function slice() {
  const end = performance.now() + SLICE_MS;
  do waiting.shift()?.(); while (waiting.length > 0 && performance.now() < end);
  isRunning = waiting.length > 0;
  if (isRunning) setTimeout(slice, 0);
}
