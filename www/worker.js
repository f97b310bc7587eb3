// The module on a thread of its own: answers {id, call, args} with {id, value}
// or {id, error}.

import { Guest } from './guest.js';

let guest;

const calls = {
  async open(module, slab) {
    guest = await Guest.start(module);
    return guest.open(slab);
  },
  verify: () => guest.verify(),
  classify(image, mode) {
    guest.image(image);
    return guest.run(mode);
  },
  input: () => guest.input(),
};

self.onmessage = async ({ data: { id, call, args } }) => {
  try {
    self.postMessage({ id, value: await calls[call](...args) });
  } catch (error) {
    self.postMessage({ id, error: { code: error.code ?? 'crashed', message: error.message } });
  }
};
