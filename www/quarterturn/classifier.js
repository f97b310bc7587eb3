// A loaded model. What each method takes and returns is in quarterturn.d.ts.

import { throwIfAborted, unlessAborted } from './errors.js';
import { Gallery } from './gallery.js';
import { checkState, checkText, checkTopK, optionsOf } from './options.js';
import { pixelsOf } from './pixels.js';
import { prediction } from './prediction.js';
import { featuresOf } from './slab.js';

export class Classifier {
  #engine;
  #slab;

  constructor(engine, slab, info, build, timings) {
    this.#engine = engine;
    this.#slab = slab;
    this.info = info;
    this.build = build;
    this.timings = timings;
  }

  async classify(input, options) {
    const { mode = 'auto', topK = 5, signal } = optionsOf(options);
    checkText('mode', mode);
    checkTopK(topK);
    throwIfAborted(signal);
    this.#engine.throwIfClosed();
    if (Array.isArray(input)) {
      const all = [];
      for (const one of input) all.push(await this.classify(one, options));
      return all;
    }
    const image = await unlessAborted(pixelsOf(input), signal);
    return prediction(this.info.labels, topK, () => this.#engine.call('classify', [image, mode], signal));
  }

  gallery(state = []) {
    checkState(state, this.info.transforms.length * featuresOf(this.#slab));
    return new Gallery((...args) => this.#engine.call(...args), this.#slab, this.info, state);
  }

  input() {
    return this.#engine.call('input', []);
  }

  async verify() {
    return Array.from(await this.#engine.call('verify', []), (b) => b.toString(16).padStart(2, '0')).join('');
  }

  async close() {
    this.#engine.close();
  }
}

// Where the platform knows `using`, a classifier can be used so.
if (Symbol.dispose) {
  Object.defineProperty(Classifier.prototype, Symbol.dispose, { value() { this.close(); } });
}
if (Symbol.asyncDispose) {
  Object.defineProperty(Classifier.prototype, Symbol.asyncDispose, { value() { return this.close(); } });
}
