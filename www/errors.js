/** What went wrong, in `code`: one of the strings below, and in words in `message`. */
export class QuarterturnError extends Error {
  constructor(code, message, options) {
    super(message, options);
    this.name = 'QuarterturnError';
    this.code = code;
  }
}

/** The module's result codes, in their order; see package wasm. */
export const codes = ['ok', 'not-slab', 'version', 'corrupt', 'unsupported', 'mode', 'image', 'selftest', 'no-slab', 'block'];
