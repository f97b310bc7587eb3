// The page's service worker: what was fetched once is there without a network. What
// the network gives wins, so that a new model or page shows at once.

const CACHE = 'quarterturn';
const FILES = ['./', 'page.css', 'icon.svg', 'page.js', 'inputs.js', 'render.js', 'quarterturn.js', 'worker.js', 'guest.js', 'wasi.js', 'errors.js',
  'fetch.js', 'pixels.js', 'quarterturn.wasm', 'models.json'];

self.addEventListener('install', (event) => event.waitUntil((async () => {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
  const models = await (await cache.match('models.json')).json();
  await cache.addAll(models.flatMap(({ src, samples }) => [src, ...samples.map((s) => s.src)]));
  await self.skipWaiting();
})()));

self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || !request.url.startsWith(self.registration.scope) || request.url.includes('/v1/')) return;
  event.respondWith((async () => {
    const cache = await caches.open(CACHE);
    try {
      const response = await fetch(request);
      if (response.ok) await cache.put(request, response.clone());
      return response;
    } catch (error) {
      const kept = await cache.match(request);
      if (kept) return kept;
      throw error;
    }
  })());
});
