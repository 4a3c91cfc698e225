// A clock that a test puts forward. Only timers that a person would notice are held; the rest runs on.
const HELD_FROM_MS = 1000;

const { setTimeout: set, clearTimeout: clear } = window;
const real = performance.now.bind(performance);
const held = new Map();
let ahead = 0;

performance.now = () => real() + ahead;
window.setTimeout = (act, ms = 0, ...rest) => {
  if (!(ms >= HELD_FROM_MS)) return set(act, ms, ...rest);
  const id = set(() => { held.delete(id); act(...rest); }, ms);
  held.set(id, { at: performance.now() + ms, act: () => act(...rest) });
  return id;
};
window.clearTimeout = (id) => {
  held.delete(id);
  clear(id);
};
window.pass = (ms) => {
  ahead += ms;
  const due = [...held].filter(([, { at }]) => at <= performance.now());
  for (const [id, { act }] of due.sort(([, one], [, other]) => one.at - other.at)) {
    clearTimeout(id);
    act();
  }
};
