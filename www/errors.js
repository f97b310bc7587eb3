/** What went wrong: `code` for programs, `message` for people. */
export class QuarterturnError extends Error {
  /**
   * @param {import('./types.js').ErrorCode} code
   * @param {string} message
   * @param {ErrorOptions} [options]
   */
  constructor(code, message, options) {
    super(message, options);
    this.name = 'QuarterturnError';
    /** @readonly */
    this.code = code;
  }
}

/**
 * The module's result codes, in their order; see package wasm.
 * @type {readonly ('ok' | import('./types.js').ErrorCode)[]}
 */
export const codes = ['ok', 'not-slab', 'version', 'corrupt', 'unsupported', 'mode', 'image', 'selftest', 'no-slab', 'block'];
