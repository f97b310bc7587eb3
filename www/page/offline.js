// The page's service worker: once visited, the page works without a network.
//
// One cache holds one build: it is filled whole when the worker is installed, or the
// worker is not installed, and it is the only place where a page of that build reads
// from. A newer build waits until the page asks for it (page.js) or its last tab is
// closed, so that files of two builds never meet. What is not a file of the build goes
// to the network, as if there were no worker.
//
// A slab that is only for teaching is kept once somebody has asked for it: it has a name of its own
// in every build.
//
// Of the two builds of the module it keeps the one that runs in this browser.
//
// Package www puts `const BUILD = { id, files, later }` and hasSIMD before this file.

/* global BUILD, hasSIMD */
const OTHER = `quarterturn/quarterturn${hasSIMD() ? '' : '-simd'}.wasm`;
const PREFIX = `quarterturn ${self.registration.scope} `;
const CACHE = PREFIX + BUILD.id;
const address = (name) => new URL(name === 'index.html' ? './' : name, self.registration.scope).href;
const own = new Set(BUILD.files.filter((name) => name !== OTHER).map(address));
const later = new Set(BUILD.later.map(address));

self.addEventListener('install', (event) => event.waitUntil((async () => {
  const cache = await caches.open(CACHE);
  try {
    await cache.addAll([...own].filter((url) => !later.has(url)).map((url) => new Request(url, { cache: 'no-cache' })));
  } catch (error) {
    await caches.delete(CACHE);
    throw error;
  }
})()));

self.addEventListener('activate', (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
})()));

self.addEventListener('message', ({ data }) => data === 'switch' && self.skipWaiting());

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.mode === 'navigate') url.search = ''; // the page is the same, whatever a link to it carries
  url.hash = '';
  if (request.method !== 'GET' || !own.has(url.href)) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    const kept = await cache.match(url.href);
    if (kept) return kept;
    const response = await fetch(request);
    if (later.has(url.href) && response.ok) event.waitUntil(cache.put(url.href, response.clone()).catch(() => {})); // storage that is full
    return response;
  })());
});
