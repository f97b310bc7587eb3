/** What went wrong: `code` for programs, `message` for people. */
export class QuarterturnError extends Error {
  /**
   * @param {import('./quarterturn.d.ts').ErrorCode} code
   * @param {string} message
   * @param {{ cause?: unknown }} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = 'QuarterturnError';
    /** @readonly */
    this.code = code;
  }
}

/**
 * The module's result codes, in their order: those of package wasm/abi, which a test holds
 * them to.
 * @type {readonly ('ok' | import('./quarterturn.d.ts').ErrorCode)[]}
 */
export const codes = ['ok', 'not-slab', 'version', 'corrupt', 'unsupported', 'mode', 'image', 'selftest', 'no-slab', 'block'];

/** The error of a signal that was aborted; named as the platform names it. */
export function abortError({ reason }) {
  const words = typeof reason === 'string' ? reason : reason?.message;
  const error = new QuarterturnError('aborted', typeof words === 'string' && words !== '' ? words : 'it was given up', { cause: reason });
  error.name = reason?.name === 'TimeoutError' ? 'TimeoutError' : 'AbortError';
  return error;
}

/**
 * Throws abortError if the signal is aborted.
 * @param {AbortSignal | undefined} signal
 */
export function throwIfAborted(signal) {
  if (signal?.aborted) throw abortError(signal);
}

/**
 * Settles as a promise does, or, as soon as the signal is aborted, rejects with abortError.
 * @template T
 * @param {Promise<T>} promise
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<T>}
 */
export async function unlessAborted(promise, signal) {
  if (!signal) return promise;
  let abort;
  const aborted = new Promise((_, reject) => {
    abort = () => reject(abortError(signal));
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([promise, aborted]));
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
