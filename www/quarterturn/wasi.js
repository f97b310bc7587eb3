// The part of WASI preview 1 that Go's runtime calls in a reactor: no files, no
// arguments, one variable; output goes to a buffer that explains a crash.

const OK = 0;
const GOGC = 'GOGC=25\0'; // see package wasm/abi

/** Makes the imports of the module. After instantiation set `memory`. */
export class WASI {
  memory = null;
  output = '';

  get #view() {
    return new DataView(this.memory.buffer);
  }

  /** A call that announces two counts of zero and then fills nothing in. */
  #none = (count, size) => {
    this.#view.setUint32(count, 0, true);
    this.#view.setUint32(size, 0, true);
    return OK;
  };

  imports = {
    args_sizes_get: this.#none,
    args_get: () => OK,
    environ_sizes_get: (count, size) => {
      this.#view.setUint32(count, 1, true);
      this.#view.setUint32(size, GOGC.length, true);
      return OK;
    },
    environ_get: (pointers, text) => {
      this.#view.setUint32(pointers, text, true);
      new Uint8Array(this.memory.buffer, text).set(new TextEncoder().encode(GOGC));
      return OK;
    },
    clock_time_get: (_clock, _precision, out) => {
      this.#view.setBigUint64(out, BigInt(Math.round(performance.now() * 1e6)), true);
      return OK;
    },
    random_get: (pointer, size) => {
      const bytes = new Uint8Array(this.memory.buffer, pointer, size);
      for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, i + 65536));
      return OK;
    },
    fd_write: (_fd, vectors, count, written) => {
      let total = 0;
      for (let i = 0; i < count; i++) {
        const pointer = this.#view.getUint32(vectors + 8 * i, true);
        const size = this.#view.getUint32(vectors + 8 * i + 4, true);
        if (this.output.length < 4096) {
          this.output += new TextDecoder().decode(new Uint8Array(this.memory.buffer, pointer, size));
        }
        total += size;
      }
      this.#view.setUint32(written, total, true);
      return OK;
    },
    // The runtime sleeps only when idle; nothing here waits, so time is up at once.
    poll_oneoff: (_subscriptions, _events, _count, out) => {
      this.#view.setUint32(out, 1, true);
      return OK;
    },
    sched_yield: () => OK,
    proc_exit: (code) => {
      throw new Error(`the module stopped with code ${code}`);
    },
  };
}
