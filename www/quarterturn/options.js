// What may be asked for: refused here with code `option`, before anything is done.

import { QuarterturnError } from './errors.js';

/** Refuses a value, saying what it is to be. */
function refuse(name, what, value) {
  let shown;
  try {
    shown = String(value);
  } catch { // an object without a text of its own
    shown = Object.prototype.toString.call(value);
  }
  throw new QuarterturnError('option', `${name} is to be ${what}, not ${shown}`);
}

/**
 * Returns the options of a call, {} where there are none.
 * @param {any} options
 * @returns {any}
 */
export function optionsOf(options) {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null) refuse('what is asked for', 'an object', options);
  const { signal } = options;
  if (signal !== undefined && !(typeof signal?.addEventListener === 'function' && typeof signal.removeEventListener === 'function')) refuse('signal', 'an AbortSignal', signal);
  return options;
}

/** Refuses a topK that is no whole number from 0. */
export function checkTopK(topK) {
  if (!Number.isInteger(topK) || topK < 0) refuse('topK', 'a whole number from 0', topK);
}

/** Refuses what is no index of one of n things. */
export function checkIndex(name, index, n) {
  if (!Number.isInteger(index) || index < 0 || index >= n) refuse(name, `a whole number from 0 to ${n - 1}`, index);
}

/** Refuses what is no text, shows nothing, or has half of a surrogate pair, which no slab can hold. */
export function checkText(name, text) {
  if (typeof text !== 'string' || text.trim() === '') refuse(name, 'a string, and not empty or blank', text);
  if (/\p{Surrogate}/u.test(text)) refuse(name, 'whole characters', JSON.stringify(text));
}

/** Refuses options of `load` that make no sense. */
export function checkLoad({ simd, maxWork, maxMemory, onProgress }) {
  if (simd !== undefined && simd !== 'auto' && simd !== false) refuse('simd', "'auto' or false", simd);
  for (const [name, value] of Object.entries({ maxWork, maxMemory })) {
    if (value !== undefined && !(typeof value === 'number' && value > 0)) refuse(name, 'a number above 0', value);
  }
  if (onProgress !== undefined && typeof onProgress !== 'function') refuse('onProgress', 'a function', onProgress);
}

/**
 * Refuses what is no GalleryState of a slab.
 * @param {any} state
 * @param {number} length of the directions of a picture, M * F
 */
export function checkState(state, length) {
  if (!Array.isArray(state)) refuse('the state of a gallery', 'an array', state);
  const labels = new Set();
  for (const entry of state) {
    checkText('a label of the state', entry?.label);
    if (labels.has(entry.label)) refuse('the state of a gallery', 'of different labels', `${entry.label} twice`);
    labels.add(entry.label);
    const { pictures } = entry;
    if (!Array.isArray(pictures) || pictures.length === 0) refuse(`what ${entry.label} has as pictures`, 'an array, and not empty', pictures);
    for (const p of pictures) {
      if (!(p instanceof Float32Array && p.length === length)) {
        refuse(`a picture of ${entry.label}`, `a Float32Array of the ${length} numbers that this slab makes of one`, p instanceof Float32Array ? `${p.length} numbers` : p);
      }
    }
  }
}
