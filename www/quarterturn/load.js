// Loading: a slab and the module, from anywhere, to a Classifier.

import { Classifier } from './classifier.js';
import { Engine, local } from './engine.js';
import { QuarterturnError, throwIfAborted, unlessAborted } from './errors.js';
import { bytesOf } from './fetch.js';
import { bounded } from './memory.js';
import { checkLoad, optionsOf } from './options.js';
import { hasSIMD } from './simd.js';

/**
 * What differs from one platform to the next.
 * @typedef {object} Platform
 * @property {URL} plain the module without vector operations
 * @property {URL} simd the module with them
 * @property {import('./engine.js').Spawn} [spawn] starts a thread, where there are threads
 * @property {(path: string | URL) => Promise<Uint8Array>} [read] reads a file, where there are files
 */

/**
 * Makes the function load of a platform.
 * @param {Platform} platform
 * @returns {typeof import('./quarterturn.d.ts').load}
 */
export const loader = (platform) => async function load(model, given) {
  const options = optionsOf(given);
  checkLoad(options);
  const { simd = 'auto', worker = true, maxWork = 2 ** 36, signal } = options;
  const build = simd && hasSIMD() ? 'simd' : 'plain';
  const { wasm = platform[build] } = options;
  const started = performance.now();
  const engine = new Engine(worker && platform.spawn ? platform.spawn : local);
  try {
    const code = bytesOrModule(wasm, options, platform.read);
    code.catch(() => {}); // if both fail, the model's failure is told
    const slab = await bytesOf(model, 'model', options, platform.read);
    const bytes = await code;
    throwIfAborted(signal);
    const downloaded = performance.now();
    const { maxMemory = 0 } = options; // 0: the module's own rule, which this is no less than
    const module = bytes instanceof WebAssembly.Module ? bytes : await unlessAborted(compile(bytes, maxMemory || 256 * 2 ** 20 + 8 * slab.length), signal);
    throwIfAborted(signal);
    const compiled = performance.now();
    const info = await engine.open(module, slab, maxMemory, signal);
    if (info.work > maxWork) {
      throw new QuarterturnError('unsupported', `an image takes ${info.work} multiply-adds, more than the ${maxWork} of maxWork`);
    }
    const timings = { download: downloaded - started, compile: compiled - downloaded, open: performance.now() - compiled };
    return /** @type {any} */ (new Classifier(engine, slab, info, options.wasm ? undefined : build, timings)); // `using` knows its keys where the platform does
  } catch (error) {
    engine.close();
    throw error;
  }
};

async function bytesOrModule(wasm, options, read) {
  return wasm instanceof WebAssembly.Module ? wasm : bytesOf(wasm, 'wasm', options, read);
}

async function compile(bytes, maxMemory) {
  try {
    return await WebAssembly.compile(/** @type {any} */ (bounded(bytes, maxMemory)));
  } catch (cause) {
    if (cause instanceof QuarterturnError) throw cause;
    if (/unsafe-eval|CSP|Content.Security.Policy/i.test(cause.message)) {
      throw new QuarterturnError('csp', "the page's Content-Security-Policy forbids WebAssembly: allow 'wasm-unsafe-eval' in script-src", { cause });
    }
    throw new QuarterturnError('module', `what was given as wasm is not a WebAssembly module: ${cause.message}`, { cause });
  }
}
