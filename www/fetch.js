// Getting bytes from wherever a caller has them.

import { QuarterturnError } from './errors.js';

/**
 * Gives the bytes of a URL, a Response, a Blob, an ArrayBuffer or a typed array.
 * @param {import('./types.js').Source} source
 * @param {'model' | 'wasm'} what how errors and progress call it
 * @param {import('./types.js').LoadOptions} [options]
 * @returns {Promise<Uint8Array<any>>}
 */
export async function bytesOf(source, what, { onProgress, signal } = {}) {
  signal?.throwIfAborted();
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (typeof Blob !== 'undefined' && source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if (typeof Response !== 'undefined' && source instanceof Response) return read(source, source.url, what, onProgress);
  const url = String(source);
  if (globalThis.process?.versions?.node && !/^https?:/.test(url)) {
    // @ts-ignore: only Node comes here
    const { readFile } = await import(/* @vite-ignore */ 'node:fs/promises');
    try {
      return new Uint8Array(await readFile(url.startsWith('file:') ? new URL(url) : url));
    } catch (cause) {
      throw new QuarterturnError('fetch', `cannot read the ${what}: ${cause.message}`, { cause });
    }
  }
  let response;
  try {
    response = await fetch(url, { signal });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new QuarterturnError('fetch', `cannot fetch the ${what} from ${url}: ${cause.message}`, { cause });
  }
  return read(response, url, what, onProgress);
}

async function read(response, url, what, onProgress) {
  const type = response.headers.get('content-type') ?? '';
  if (!response.ok || type.startsWith('text/html')) {
    const got = type.startsWith('text/html') ? 'HTML' : 'no data';
    throw new QuarterturnError('fetch', `got ${got} instead of the ${what} from ${url}, status ${response.status}`);
  }
  // A compressed response is longer than it says, so its total is not known.
  const total = response.headers.get('content-encoding') ? 0 : Number(response.headers.get('content-length') ?? 0);
  const parts = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    loaded += value.length;
    onProgress?.({ what, loaded, total });
  }
  const bytes = new Uint8Array(loaded);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
