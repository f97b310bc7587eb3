// A bound on the memory of a module that defines its own: written into its memory section,
// since there is no other place for it in WebAssembly's JavaScript interface.

import { QuarterturnError } from './errors.js';

const PAGE = 65536;
const MEMORY = 5; // the section's number

/**
 * Returns a module whose memory can grow to so many bytes and no further.
 * @param {Uint8Array} module as it is; what is not a module is returned for the compiler to refuse
 * @param {number} bytes rounded up to 64 KiB
 * @returns {Uint8Array}
 */
export function bounded(module, bytes) {
  const pages = Math.min(65536, Math.ceil(bytes / PAGE));
  let at = 8; // behind the magic and the version
  /** Reads an unsigned LEB128. */
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = module[at++];
      value += (byte & 127) * 2 ** shift;
      if (!(byte & 128)) return value;
    }
    return NaN;
  };
  while (at < module.length) {
    const start = at;
    const id = number();
    const size = number();
    const end = at + size;
    if (id === MEMORY && number() === 1) {
      number(); // flags
      const least = number();
      if (least > pages) throw new QuarterturnError('memory', `the module alone takes ${least * PAGE} bytes, more than the ${bytes} of maxMemory`);
      const section = [1, 1, ...leb(least), ...leb(pages)];
      const out = new Uint8Array(start + 2 + section.length + module.length - end);
      out.set(module.subarray(0, start));
      out.set([MEMORY, section.length, ...section], start);
      out.set(module.subarray(end), start + 2 + section.length);
      return out;
    }
    if (!(end >= at)) break;
    at = end;
  }
  return module;
}

function leb(value) {
  const out = [];
  do {
    out.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return out;
}
