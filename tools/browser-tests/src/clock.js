// A clock that stands still until a test puts it forward, so that nothing a person would notice ends in the middle of a
// step, however long that takes. Only such timers are held; the rest runs on.
const HELD_FROM_MS = 1000;

const { setTimeout: set, clearTimeout: clear } = window;
const start = performance.now();
const held = new Map();
let ahead = 0;
let count = 0;

performance.now = () => start + ahead;
window.setTimeout = (act, ms = 0, ...rest) => {
  if (!(ms >= HELD_FROM_MS)) return set(act, ms, ...rest);
  // The browser's own are positive.
  const id = -++count;
  held.set(id, { at: ahead + ms, act: () => act(...rest) });
  return id;
};
window.clearTimeout = (id) => {
  if (!held.delete(id)) clear(id);
};
window.pass = (ms) => {
  ahead += ms;
  const due = [...held].filter(([, { at }]) => at <= ahead);
  for (const [id, { act }] of due.sort(([, one], [, other]) => one.at - other.at)) {
    // One of them may have ended another.
    if (held.delete(id)) act();
  }
};
