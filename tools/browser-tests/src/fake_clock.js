// Replaces performance.now and long timers by a clock that only pass(ms) advances, so that no visible delay ends during a
// slow test step. Timers below the limit run normally.
const FAKE_TIMER_MS_MIN = 1000;

const { setTimeout: set, clearTimeout: clear } = window;
const start = performance.now();
const timers = new Map();
let elapsed = 0;
let count = 0;

performance.now = () => start + elapsed;
window.setTimeout = (act, ms = 0, ...rest) => {
  if (!(ms >= FAKE_TIMER_MS_MIN)) return set(act, ms, ...rest);
  // Real timer ids are positive.
  const id = -++count;
  timers.set(id, { at: elapsed + ms, act: () => act(...rest) });
  return id;
};
window.clearTimeout = (id) => {
  if (!timers.delete(id)) clear(id);
};
window.pass = (ms) => {
  elapsed += ms;
  const due = [...timers].filter(([, { at }]) => at <= elapsed);
  for (const [id, { act }] of due.sort(([, one], [, other]) => one.at - other.at)) {
    // An earlier timer may have cleared this one.
    if (timers.delete(id)) act();
  }
};
