// Bytes from wherever a caller has them.

import { QuarterturnError, throwIfAborted, unlessAborted } from './errors.js';

/**
 * Returns the bytes of a URL, a path (where `read` reads files), a Response, a Blob, an
 * ArrayBuffer or a typed array.
 * @param {import('./quarterturn.d.ts').Source} source
 * @param {'model' | 'wasm'} what how errors and progress call it
 * @param {{ onProgress?: (progress: import('./quarterturn.d.ts').Progress) => void, signal?: AbortSignal }} options
 * @param {(path: string | URL) => Promise<Uint8Array>} [read] reads a file
 * @returns {Promise<Uint8Array>}
 */
export async function bytesOf(source, what, { onProgress, signal }, read) {
  throwIfAborted(signal);
  try {
    // A copy: the caller may change its bytes, or hand them to a worker, while the model is open.
    if (Object.prototype.toString.call(source) === '[object ArrayBuffer]') return new Uint8Array(/** @type {ArrayBuffer} */ (source)).slice();
    if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
    if (typeof Blob !== 'undefined' && source instanceof Blob) return new Uint8Array(await unlessAborted(source.arrayBuffer(), signal));
    if (typeof Response !== 'undefined' && source instanceof Response) return await download(source, source.url, what, onProgress, signal);
    if (typeof source !== 'string' && !(source instanceof URL)) {
      throw new QuarterturnError('fetch', `the ${what} is to be an address, a Response, a Blob or bytes, not ${source === null ? 'null' : typeof source}`);
    }
    const url = String(source);
    if (read && !/^(https?|data|blob):/i.test(url)) return new Uint8Array(await read(/^file:/i.test(url) ? new URL(url) : url));
    return await download(await fetch(url, { signal }), url, what, onProgress, signal);
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof QuarterturnError) throw cause;
    throw new QuarterturnError('fetch', `cannot read the ${what}${typeof source === 'string' || source instanceof URL ? ` from ${source}` : ''}: ${cause?.message ?? cause}`, { cause });
  }
}

async function download(response, url, what, onProgress, signal) {
  const type = response.headers.get('content-type') ?? '';
  if (!response.ok || type.startsWith('text/html') || !response.body) {
    const got = type.startsWith('text/html') ? 'HTML' : 'no data';
    const vite = url.includes('/.vite/deps/') ? ": add optimizeDeps: { exclude: ['quarterturn'] } to vite.config.js" : '';
    throw new QuarterturnError('fetch', `got ${got} instead of the ${what}${url && ` from ${url}`}, status ${response.status}${vite}`);
  }
  // A compressed response is longer than it says, so its total is not known.
  const total = response.headers.get('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  const parts = [];
  let loaded = 0;
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await unlessAborted(reader.read(), signal);
      if (done) break;
      parts.push(value);
      loaded += value.length;
      onProgress?.({ what, loaded, total });
    }
  } catch (error) {
    reader.cancel().catch(() => {}); // nobody waits for the rest
    throw error;
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
