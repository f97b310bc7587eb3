// The inference module, one instance of it, behind plain methods.

import { QuarterturnError, codes } from './errors.js';
import { WASI } from './wasi.js';

const ABI = 2;
const BAND = 1 << 18; // bytes of an image handed over at once
const ALL = -1; // as much work, in multiply-adds, as a call can be bounded to: 2^32 - 1

/**
 * The inference modes, in the module's numbering, `auto` first.
 * @type {readonly ('auto' | import('./quarterturn.d.ts').Mode)[]}
 */
export const modes = ['auto', 'baseline', 'single', 'aggregated', 'distilled', 'adaptive'];

/** One instance of the module. After an error with code `crashed` or `memory` it is of no use. */
export class Guest {
  #exports;
  #memory;
  #crashOutput;
  #block = 0;
  #crash;

  /** @param exports the exports of a started instance; crashOutput returns what it wrote when it crashed */
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
    let exports;
    try {
      ({ exports } = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: wasi.imports }));
    } catch (cause) {
      throw new QuarterturnError('module', `what was given as wasm is not Quarterturn's module, or does not start: ${cause.message}`, { cause });
    }
    if (!exports.qt_abi || !exports._initialize) throw new QuarterturnError('module', "what was given as wasm is a WebAssembly module, but not Quarterturn's");
    wasi.memory = /** @type {any} */ (exports.memory);
    /** @type {any} */ (exports)._initialize();
    return new Guest(exports, () => wasi.output);
  }

  /** Reads a slab that may need so many bytes, 0: by the module's own rule; returns its description, Info. */
  open(slab, memory = 0) {
    if (slab.length === 0) throw new QuarterturnError('not-slab', 'the model is empty: 0 bytes');
    const pointer = this.#alloc(slab.length);
    new Uint8Array(this.#memory.buffer, pointer, slab.length).set(slab);
    try {
      this.#do('qt_open', pointer, slab.length, Math.min(memory, 2 ** 32 - 1));
    } finally {
      this.#call('qt_free', pointer);
    }
    this.#do('qt_describe');
    return JSON.parse(new TextDecoder().decode(this.#output()));
  }

  /** Runs the self-test; returns its digest, 32 bytes. */
  verify() {
    return this.#step('qt_verify', ALL);
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

  /** Classifies an image: handing it over, and all of its passes. */
  classify(image, mode) {
    this.image(image);
    return this.run(mode);
  }

  /**
   * Classifies the image that was handed over, or goes on with it: for about so many
   * multiply-adds, by default until it is done.
   * @returns the result: mode, passes, logits, probabilities (N each), views (passes, N);
   *   undefined if there is more to do
   */
  run(mode, macs = ALL) {
    return result(this.#step('qt_run', modeNumber(mode), macs));
  }

  /** The directions of the views of the image that was handed over: float32 (M, F), or undefined as of run. */
  features(macs = ALL) {
    const out = this.#step('qt_features', macs);
    return out && new Float32Array(out.buffer);
  }

  /** Classifies the image that was handed over by a gallery, float32 (classes, M, F): a result as of run. */
  match(gallery, macs = ALL) {
    const pointer = this.#alloc(gallery.byteLength);
    new Float32Array(this.#memory.buffer, pointer, gallery.length).set(gallery);
    try {
      return result(this.#step('qt_match', pointer, gallery.byteLength, macs));
    } finally {
      this.#call('qt_free', pointer);
    }
  }

  /** The output of a call in steps, bounded by multiply-adds; undefined if there is none yet. */
  #step(name, ...args) {
    do {
      this.#do(name, ...args);
      const out = this.#output();
      if (out.length > 0) return out;
    } while (args.at(-1) === ALL); // which few models exceed
    return undefined;
  }

  /** A fingerprint of what every layer makes of the image: BigUint64Array. */
  trace(mode) {
    return new BigUint64Array(this.#step('qt_trace', modeNumber(mode), ALL).buffer);
  }

  #alloc(size) {
    const pointer = this.#call('qt_alloc', size);
    if (pointer === 0) throw new QuarterturnError('unsupported', `${size} bytes are too many for the module`);
    return pointer;
  }

  #call(name, ...args) {
    if (this.#crash) throw this.#crash;
    try {
      return this.#exports[name](...args) >>> 0;
    } catch (cause) {
      const said = this.#crashOutput();
      this.#crash = said.includes('out of memory')
        ? new QuarterturnError('memory', 'the model needs more memory than it may have; see maxMemory', { cause })
        : new QuarterturnError('crashed', `the module crashed in ${name}: ${said.trim().split('\n')[0] || cause.message}`, { cause });
      throw this.#crash;
    }
  }

  #do(name, ...args) {
    const code = this.#call(name, ...args);
    if (code !== 0) {
      throw new QuarterturnError(/** @type {import('./quarterturn.d.ts').ErrorCode} */ (codes[code] ?? 'module'), new TextDecoder().decode(this.#output()));
    }
  }

  /** A copy of what the last call put out. */
  #output() {
    const pointer = this.#call('qt_output');
    return new Uint8Array(this.#memory.buffer, pointer, this.#call('qt_output_len')).slice();
  }
}

/** Reads a result of the module: uint32 mode, passes, N, views; then float32 logits, probabilities, views. */
function result(out) {
  if (!out) return undefined;
  const [number, passes, classes, views] = new Uint32Array(out.buffer, 0, 4);
  const floats = (from, n) => new Float32Array(out.buffer.slice(16 + 4 * from, 16 + 4 * (from + n)));
  return {
    mode: [...modes, 'matched'][number],
    passes,
    logits: floats(0, classes),
    probabilities: floats(classes, classes),
    ...(views > 0 && { views: floats(2 * classes, views * classes) }),
  };
}

function modeNumber(mode) {
  const number = modes.indexOf(mode);
  if (number < 0) throw new QuarterturnError('mode', `there is no mode "${mode}"; use ${modes.join(', ')}`);
  return number;
}
