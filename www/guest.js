// The inference module, one instance of it, behind plain methods.

import { QuarterturnError, codes } from './errors.js';
import { WASI } from './wasi.js';

const ABI = 1;
const BAND = 1 << 18; // bytes of an image handed over at once

/**
 * The inference modes, in the module's numbering, `auto` first.
 * @type {readonly ('auto' | import('./types.js').Mode)[]}
 */
export const modes = ['auto', 'baseline', 'single', 'aggregated', 'distilled', 'adaptive'];

/** One instance of the module. After an error with code `crashed` it is of no use. */
export class Guest {
  #exports;
  #memory;
  #crashOutput;
  #block = 0;

  /** @param exports the exports of a started instance, and where its last words go. */
  constructor(exports, crashOutput = () => '') {
    this.#exports = exports;
    this.#memory = exports.memory ?? exports.mem; // GOOS=wasip1, GOOS=js
    this.#crashOutput = crashOutput;
    if (this.#call('qt_abi') !== ABI) {
      throw new QuarterturnError('module', `the module speaks interface ${this.#call('qt_abi')}, this package ${ABI}: use files of one release`);
    }
  }

  /**
   * Starts an instance of the compiled wasip1 module.
   * @param {WebAssembly.Module} module
   */
  static async start(module) {
    const wasi = new WASI();
    const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.imports });
    wasi.memory = instance.exports.memory;
    /** @type {any} */ (instance.exports)._initialize();
    return new Guest(instance.exports, () => wasi.output);
  }

  open(slab) {
    const pointer = this.#alloc(slab.length);
    new Uint8Array(this.#memory.buffer, pointer, slab.length).set(slab);
    try {
      this.#do('qt_open', pointer, slab.length);
    } finally {
      this.#call('qt_free', pointer);
    }
    this.#do('qt_describe');
    return JSON.parse(new TextDecoder().decode(this.#output()));
  }

  /** Runs the self-test; gives its digest, 32 bytes. */
  verify() {
    this.#do('qt_verify');
    return this.#output();
  }

  /** Hands an image over: straight RGBA, 4 bytes a pixel. */
  image({ data, width, height }) {
    if (data.length !== 4 * width * height) {
      throw new QuarterturnError('image', `an image of ${width}x${height} needs ${4 * width * height} bytes of RGBA, got ${data.length}`);
    }
    this.#do('qt_begin', width, height);
    this.#block ||= this.#alloc(BAND);
    const band = 4 * width * Math.max(1, Math.floor(BAND / (4 * width)));
    for (let at = 0; at < data.length; at += band) {
      const rows = data.subarray(at, at + band);
      new Uint8Array(this.#memory.buffer, this.#block, rows.length).set(rows);
      this.#do('qt_rows', this.#block, rows.length);
    }
  }

  /** The image as the net sees it: float32 (C, H, W). */
  input() {
    this.#do('qt_input');
    return new Float32Array(this.#output().buffer);
  }

  /** Classifies an image. */
  classify(image, mode) {
    this.image(image);
    return this.run(mode);
  }

  /** Classifies the image that was handed over. */
  run(mode) {
    return this.#result('qt_run', modeNumber(mode));
  }

  /** The directions of an image's views: float32 (M, F). */
  features(image) {
    this.image(image);
    return new Float32Array(this.#finish('qt_features').buffer);
  }

  /** Classifies an image by a gallery, float32 (classes, M, F). */
  match(image, gallery) {
    this.image(image);
    const pointer = this.#alloc(gallery.byteLength);
    new Float32Array(this.#memory.buffer, pointer, gallery.length).set(gallery);
    try {
      return this.#result('qt_match', pointer, gallery.byteLength);
    } finally {
      this.#call('qt_free', pointer);
    }
  }

  /** Calls until there is an output: a call is bounded by multiply-adds, which few models exceed. */
  #finish(name, ...args) {
    for (;;) {
      this.#do(name, ...args, -1);
      const out = this.#output();
      if (out.length > 0) return out;
    }
  }

  #result(name, ...args) {
    const out = this.#finish(name, ...args);
    const [number, passes, classes, views] = new Uint32Array(out.buffer, 0, 4);
    const floats = (from, n) => new Float32Array(out.buffer.slice(16 + 4 * from, 16 + 4 * (from + n)));
    const result = {
      mode: [...modes, 'matched'][number],
      passes,
      logits: floats(0, classes),
      probabilities: floats(classes, classes),
    };
    if (views > 0) {
      result.views = Array.from({ length: views }, (_, j) => floats((2 + j) * classes, classes));
    }
    return result;
  }

  /** A fingerprint of what every layer makes of the image: BigUint64Array. */
  trace(mode) {
    this.#do('qt_trace', modeNumber(mode));
    return new BigUint64Array(this.#output().buffer);
  }

  #alloc(size) {
    const pointer = this.#call('qt_alloc', size);
    if (pointer === 0) throw new QuarterturnError('unsupported', `${size} bytes are too many, or none`);
    return pointer;
  }

  #call(name, ...args) {
    try {
      return this.#exports[name](...args) >>> 0;
    } catch (cause) {
      const said = this.#crashOutput().trim().split('\n')[0];
      throw new QuarterturnError('crashed', `the module crashed in ${name}: ${said || cause.message}`, { cause });
    }
  }

  #do(name, ...args) {
    const code = this.#call(name, ...args);
    if (code !== 0) {
      throw new QuarterturnError(/** @type {import('./types.js').ErrorCode} */ (codes[code] ?? 'module'), new TextDecoder().decode(this.#output()));
    }
  }

  /** A copy of what the last call put out. */
  #output() {
    const pointer = this.#call('qt_output');
    return new Uint8Array(this.#memory.buffer, pointer, this.#call('qt_output_len')).slice();
  }
}

function modeNumber(mode) {
  const number = modes.indexOf(mode);
  if (number < 0) throw new QuarterturnError('mode', `there is no mode ${mode}; use ${modes.join(', ')}`);
  return number;
}
