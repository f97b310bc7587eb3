// The module on a thread of its own: answers {id, call, args} with {id, value}
// or {id, error}.

import { Guest } from './guest.js';

let guest;

async function answer(call, args) {
  if (call !== 'open') return guest[call](...args);
  guest = await Guest.start(args[0]);
  return guest.open(args[1]);
}

self.onmessage = async ({ data: { id, call, args } }) => {
  try {
    self.postMessage({ id, value: await answer(call, args) });
  } catch (error) {
    self.postMessage({ id, error: { code: error.code ?? 'crashed', message: error.message } });
  }
};
