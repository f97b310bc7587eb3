// The module behind messages, wherever it runs: {id, call, args} is answered with
// {id, value} or {id, error}; {cancel} ends the call with that id.

import { Guest } from './guest.js';

// Multiply-adds between two looks for messages: some 10 ms.
const SLICE = 64e6;

// How a call is begun, on the Guest, and goes on until there is a value.
const calls = {
  classify: ([image, mode]) => [image, (guest) => guest.run(mode, SLICE)],
  features: ([image]) => [image, (guest) => guest.features(SLICE)],
  match: ([image, gallery]) => [image, (guest) => guest.match(gallery, SLICE)],
  input: () => [null, (guest) => guest.input()],
  verify: () => [null, (guest) => guest.verify()],
};

/**
 * Returns what takes messages. Calls run one after the other.
 * @param {(message: { id: number, value?: any, error?: { code: string, message: string } }) => void} reply
 */
export function serve(reply) {
  /** @type {Guest} */
  let guest;
  /** @type {WebAssembly.Module} */
  let module;
  const waiting = new Set();
  let last = Promise.resolve();

  async function answer(id, call, args) {
    if (call === 'open') {
      [module] = args;
      guest = await Guest.start(module);
      return guest.open(args[1], args[2]);
    }
    if (call === 'logits') return logits(await Guest.start(module), ...args);
    const [image, step] = calls[call](args);
    if (image) guest.image(image);
    for (;;) {
      const value = step(guest);
      if (value) return value;
      await turn();
      if (!waiting.has(id)) return undefined;
    }
  }

  async function run(id, call, args) {
    if (!waiting.has(id)) return;
    try {
      reply({ id, value: await answer(id, call, args) });
    } catch (error) {
      reply({ id, error: { code: error.code ?? 'crashed', message: error.message } });
    }
    waiting.delete(id);
  }

  return ({ id, call, args, cancel }) => {
    if (cancel !== undefined) {
      waiting.delete(cancel);
      return;
    }
    waiting.add(id);
    last = last.then(() => run(id, call, args));
  };
}

/** What a slab answers to an image in each of its modes, one after the other: the logits. */
function logits(guest, slab, image) {
  const { modes } = guest.open(slab);
  const all = modes.flatMap(({ mode }) => Array.from(guest.classify(image, mode).logits));
  return Float32Array.from(all);
}

/** Lets messages and other work come in between. */
function turn() {
  return new Promise((resolve) => {
    const { setImmediate } = /** @type {any} */ (globalThis); // Node's, which keeps no process
    if (setImmediate) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve(undefined);
    };
    port2.postMessage(null);
  });
}
