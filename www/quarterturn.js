/// <reference lib="esnext.disposable" preserve="true" />

// Quarterturn in JavaScript: load a slab, classify images.
//
//   import { load } from 'quarterturn';
//   const c = await load('model.slab');
//   const p = await c.classify(input, { mode: 'auto', topK: 5 });

import { QuarterturnError } from './errors.js';
import { bytesOf } from './fetch.js';
import { Guest, modes } from './guest.js';
import { pixelsOf } from './pixels.js';

export { QuarterturnError, modes };

/** @type {any} */ (Symbol).dispose ??= Symbol('Symbol.dispose'); // as compilers of `using` do where it is not there yet

/** @typedef {import('./types.js').Mode} Mode */
/** @typedef {import('./types.js').ErrorCode} ErrorCode */
/** @typedef {import('./types.js').Source} Source */
/** @typedef {import('./types.js').Progress} Progress */
/** @typedef {import('./types.js').LoadOptions} LoadOptions */
/** @typedef {import('./types.js').Pixels} Pixels */
/** @typedef {import('./types.js').Input} Input */
/** @typedef {import('./types.js').Label} Label */
/** @typedef {import('./types.js').Prediction} Prediction */
/** @typedef {import('./types.js').Info} Info */
/** @typedef {import('./types.js').Timings} Timings */

/**
 * Loads a slab and the module that runs it.
 * @param {Source} model
 * @param {LoadOptions} [options]
 * @returns {Promise<Classifier>}
 */
export async function load(model, options = {}) {
  const { wasm = new URL('./quarterturn.wasm', import.meta.url), worker = true, signal } = options;
  const timings = { download: 0, compile: 0, open: 0 };
  const started = performance.now();
  const [slab, module] = await Promise.all([bytesOf(model, 'model', options), compile(wasm, options, timings)]);
  timings.download = performance.now() - started - timings.compile;
  signal?.throwIfAborted();
  // Node has no Worker of this kind: there the module runs in the caller's thread.
  const engine = worker && typeof Worker !== 'undefined' ? new WorkerEngine() : new LocalEngine();
  try {
    const opening = performance.now();
    const info = await engine.call('open', module, slab);
    timings.open = performance.now() - opening;
    // @ts-ignore: the constructor is private to this file
    return new Classifier(engine, info, timings);
  } catch (error) {
    engine.close();
    throw error;
  }
}

async function compile(wasm, options, timings) {
  if (wasm instanceof WebAssembly.Module) return wasm;
  const bytes = await bytesOf(wasm, 'wasm', options);
  const start = performance.now();
  try {
    const module = await WebAssembly.compile(bytes);
    timings.compile = performance.now() - start;
    return module;
  } catch (cause) {
    throw new QuarterturnError('module', `what was given as wasm is not a WebAssembly module: ${cause.message}`, { cause });
  }
}

/** Runs the module in the caller's thread. */
class LocalEngine {
  #guest;

  async call(name, ...args) {
    if (name !== 'open') return this.#guest[name](...args);
    this.#guest = await Guest.start(args[0]);
    return this.#guest.open(args[1]);
  }

  close() {
    this.#guest = undefined;
  }
}

/** What a call for an answer gives, with its time and the foremost labels. */
async function prediction(labels, topK, call, ...args) {
  const start = performance.now();
  const result = await call(...args);
  const ms = performance.now() - start;
  const top = Array.from(result.logits, (logit, index) => ({ logit, index }))
    .sort((a, b) => b.logit - a.logit || a.index - b.index)
    .slice(0, topK)
    .map(({ index }) => ({ label: labels[index], index, probability: result.probabilities[index] }));
  return { top, ...result, ms };
}

/** Runs the module in a worker. */
class WorkerEngine {
  #worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  #waiting = new Map();
  #next = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error) reject(new QuarterturnError(error.code, error.message));
      else resolve(value);
    };
    this.#worker.onerror = (event) => {
      this.#fail(new QuarterturnError('crashed', `the worker failed: ${event.message ?? 'its script could not be loaded'}`));
    };
  }

  #fail(error) {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  call(call, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, args });
    });
  }

  close() {
    this.#worker.terminate();
    this.#fail(new QuarterturnError('closed', 'the classifier was closed'));
  }
}

/** A loaded model. Calls run one after the other. */
export class Classifier {
  /** @type {LocalEngine | WorkerEngine | undefined} */
  #engine;

  /**
   * @private
   * @param {LocalEngine | WorkerEngine} engine
   * @param {Info} info
   * @param {Timings} timings
   */
  constructor(engine, info, timings) {
    this.#engine = engine;
    /** @readonly */
    this.info = info;
    /** @readonly */
    this.timings = timings;
  }

  /**
   * Classifies a picture; topK is how many classes to name.
   * @param {Input} input
   * @param {{ mode?: 'auto' | Mode, topK?: number }} [options]
   * @returns {Promise<Prediction>}
   */
  async classify(input, { mode = 'auto', topK = 5 } = {}) {
    return prediction(this.info.labels, topK, this.#call.bind(this), 'classify', await pixelsOf(input), mode);
  }

  /**
   * A gallery without examples: it classifies by what it is shown. It ends with this classifier.
   * @returns {Gallery}
   */
  gallery() {
    // @ts-ignore: the constructor is private to this file
    return new Gallery(this.#call.bind(this));
  }

  /**
   * The last classified image as the net saw it: (C, H, W).
   * @returns {Promise<Float32Array>}
   */
  input() {
    return this.#call('input');
  }

  /**
   * Runs the slab's self-test here; gives its digest in hexadecimal.
   * @returns {Promise<string>}
   */
  async verify() {
    return Array.from(await this.#call('verify'), (b) => b.toString(16).padStart(2, '0')).join('');
  }

  /**
   * Ends the worker and gives its memory back; calls that wait fail with code `closed`.
   * @returns {Promise<void>}
   */
  async close() {
    this[Symbol.dispose]();
  }

  [Symbol.dispose]() {
    this.#engine?.close();
    this.#engine = undefined;
  }

  #call(...args) {
    if (!this.#engine) return Promise.reject(new QuarterturnError('closed', 'the classifier was closed'));
    return this.#engine.call(...args);
  }
}

/**
 * Tells things apart by a few pictures of each, things that the model was never trained
 * on: what the net makes of a picture's views is compared with what it made of theirs.
 */
export class Gallery {
  #call;
  /** @type {{ label: string, pictures: number, sum: Float32Array }[]} */
  #classes = [];

  /** @private */
  constructor(call) {
    this.#call = call;
  }

  /**
   * Adds a picture of something.
   * @param {string} label
   * @param {Input} input
   * @returns {Promise<void>}
   */
  async enrol(label, input) {
    const directions = await this.#call('features', await pixelsOf(input));
    const known = this.#classes.find((c) => c.label === label);
    if (!known) {
      this.#classes.push({ label, pictures: 1, sum: directions });
      return;
    }
    known.pictures++;
    directions.forEach((v, i) => { known.sum[i] += v; });
  }

  /**
   * Drops a label and its pictures.
   * @param {string} label
   */
  forget(label) {
    this.#classes = this.#classes.filter((c) => c.label !== label);
  }

  /**
   * The labels, in the order in which they came, and how many pictures each has.
   * @returns {{ label: string, pictures: number }[]}
   */
  get examples() {
    return this.#classes.map(({ label, pictures }) => ({ label, pictures }));
  }

  /**
   * Says what a picture is most like; topK is how many labels to name.
   * @param {Input} input
   * @param {{ topK?: number }} [options]
   * @returns {Promise<Prediction>}
   */
  async classify(input, { topK = 5 } = {}) {
    if (this.#classes.length === 0) throw new QuarterturnError('mode', 'nothing is enrolled yet');
    const width = this.#classes[0].sum.length;
    const gallery = new Float32Array(this.#classes.length * width);
    this.#classes.forEach(({ sum }, i) => gallery.set(sum, i * width));
    return prediction(this.#classes.map((c) => c.label), topK, this.#call, 'match', await pixelsOf(input), gallery);
  }
}
