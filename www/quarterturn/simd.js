// Which build of the module runs here.

/** Says whether this platform compiles 128-bit vector operations, by a module that has one. */
export function hasSIMD() {
  return WebAssembly.validate(new Uint8Array([
    0, 97, 115, 109, 1, 0, 0, 0, // a module
    1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, // with a function that returns a vector:
    10, 11, 1, 9, 0, 67, 0, 0, 0, 0, 253, 19, 11, // f32.const 0, f32x4.splat
  ]));
}
