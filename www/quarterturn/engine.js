// The other end of serve.js: calls as promises, on a thread that is replaced if it breaks.

import { abortError, QuarterturnError, throwIfAborted } from './errors.js';
import { serve } from './serve.js';

/**
 * A way to a served module.
 * @typedef {object} Channel
 * @property {(message: object) => void} post
 * @property {() => void} close
 * @property {(busy: boolean) => void} [hold] says whether answers are awaited, for which a process stays
 */

/**
 * Starts a thread that serves; `take` gets its messages, `fail` the words for its end.
 * @callback Spawn
 * @param {(message: any) => void} take
 * @param {(words: string) => void} fail
 * @returns {Channel}
 */

/** Serves in the caller's thread. @type {Spawn} */
export function local(take) {
  let open = true;
  const post = serve((message) => open && take(message));
  return { post, close: () => { open = false; } };
}

/** An open slab somewhere. A crash fails the calls that wait; the next call opens it anew. */
export class Engine {
  #spawn;
  #opening;
  /** @type {Channel | undefined} */
  #channel;
  #waiting = new Map();
  #next = 0;
  #closed = false;

  /**
   * Starts the thread, which is ready by the time that there is something to open.
   * @param {Spawn} spawn
   */
  constructor(spawn) {
    this.#spawn = spawn;
    this.#start();
  }

  /**
   * Opens a slab; returns its description.
   * @param {WebAssembly.Module} module
   * @param {Uint8Array} slab
   * @param {number} memory bytes that it may need; 0: the module's own rule
   * @param {AbortSignal} [signal]
   */
  open(module, slab, memory, signal) {
    this.#opening = [module, slab, memory];
    return this.#reopen(signal);
  }

  /**
   * Calls the module.
   * @param {string} name a call of serve.js
   * @param {unknown[]} args
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async call(name, args, signal) {
    throwIfAborted(signal);
    this.throwIfClosed();
    if (!this.#channel) this.#reopen().catch(() => {}); // if it fails, so does the call behind it
    return this.#post(name, args, signal);
  }

  throwIfClosed() {
    if (this.#closed) throw new QuarterturnError('closed', 'the classifier was closed');
  }

  close() {
    this.#closed = true;
    this.#fail('closed', 'the classifier was closed');
  }

  /** @param {AbortSignal} [signal] */
  #reopen(signal) {
    if (!this.#channel) this.#start();
    return this.#post('open', this.#opening, signal);
  }

  #start() {
    try {
      const channel = this.#spawn((message) => {
        if (channel === this.#channel) this.#take(message);
      }, (words) => {
        if (channel === this.#channel) this.#fail('crashed', words);
      });
      this.#channel = channel;
    } catch (cause) { // a platform that has workers, and allows none here
      throw new QuarterturnError('crashed', `no worker can be started here: ${cause.message}; load(..., { worker: false }) needs none`, { cause });
    }
  }

  #take({ id, value, error }) {
    const call = this.#waiting.get(id);
    if (!call) return; // it was given up
    this.#settle(id);
    if (!error) {
      call.resolve(value);
      return;
    }
    call.reject(new QuarterturnError(error.code, error.message));
    // What crashed is of no use, and what could not be opened has nothing to answer with.
    if (call.name === 'open' || error.code === 'crashed' || error.code === 'memory') this.#fail(error.code, error.message);
  }

  #fail(code, message) {
    this.#channel?.close();
    this.#channel = undefined;
    for (const [id, { reject }] of this.#waiting) {
      this.#settle(id);
      reject(new QuarterturnError(code, message));
    }
  }

  /**
   * @param {string} name
   * @param {unknown[]} args
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  #post(name, args, signal) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      const channel = this.#channel;
      const abort = () => {
        this.#settle(id);
        channel.post({ cancel: id });
        reject(abortError(signal));
      };
      signal?.addEventListener('abort', abort);
      this.#waiting.set(id, { name, resolve, reject, forget: () => signal?.removeEventListener('abort', abort) });
      channel.hold?.(true);
      try {
        channel.post({ id, call: name, args });
      } catch (cause) { // what cannot be sent
        this.#settle(id);
        reject(new QuarterturnError('image', `this cannot be handed to a worker: ${cause.message}`, { cause }));
      }
    });
  }

  #settle(id) {
    this.#waiting.get(id).forget();
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#channel?.hold?.(false);
  }
}
