// Starts the page without the network: caches index.html and the files that it names with their hashes.
//
// The bridge adds `const VERSION`, which changes with index.html. A new version waits until the page activates it. The files of
// the previous version stay, because tabs may still show it.

const PREFIX = "page-";
const CACHE = PREFIX + VERSION;

// The same names that the bridge serves as immutable.
const isHashed = (path) => path.split(/[/\-_.]/).some((part) => /^[0-9a-f]{12,16}$/.test(part));

const install = async () => {
  const index = await fetch("/", { cache: "no-cache" });
  // A browser refuses a redirected response for a navigation.
  if (!index.ok || index.redirected) throw new Error(`index.html: status ${index.status}`);
  const html = await index.clone().text();
  const files = [...html.matchAll(/["'](\/[\w./-]+)["']/g)].map(([, path]) => path).filter(isHashed);
  const cache = await caches.open(CACHE);
  try {
    await cache.addAll(new Set(files));
    // The last entry: a cache without it is incomplete.
    await cache.put("/", index);
  } catch (error) {
    if (!(await cache.match("/"))) await caches.delete(CACHE);
    throw error;
  }
};

const activate = async () => {
  const others = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
  await Promise.all(others.slice(0, -1).map((name) => caches.delete(name)));
};

// The browser may have evicted the cache.
const answer = async (request, path, cacheName) => (await caches.match(path, { cacheName })) ?? fetch(request);

addEventListener("install", (event) => event.waitUntil(install()));
addEventListener("activate", (event) => event.waitUntil(activate()));
addEventListener("message", ({ data }) => {
  if (data === "activate") skipWaiting();
});
addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  const isPage = request.mode === "navigate" && ["/", "/index.html"].includes(pathname);
  if (isPage) event.respondWith(answer(request, "/", CACHE));
  else if (isHashed(pathname)) event.respondWith(answer(request, pathname));
});
