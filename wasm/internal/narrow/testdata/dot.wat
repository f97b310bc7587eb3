;; wat2wasm --debug-names dot.wat -o dot.wasm
(module
  (import "test" "nothing" (func $nothing))
  (memory (export "memory") 1)
  (global $sp (mut i32) (i32.const 1024))
  (global $g (mut i64) (i64.const 5))

  ;; The dot product of two vectors of n floats, as the kernels' assembly has it.
  (func $dot (export "dot") (param $a i32) (param $b i32) (param $n i32) (result f32)
    (local $x i64) (local $y i64) (local $left i64) (local $sum f32)
    (local.set $x (i64.extend_i32_u (local.get $a)))
    (local.set $y (i64.extend_i32_u (local.get $b)))
    (local.set $left (i64.extend_i32_u (local.get $n)))
    block
      (br_if 0 (i64.eqz (local.get $left)))
      loop
        (local.set $sum (f32.add (local.get $sum) (f32.mul
          (f32.load (i32.wrap_i64 (local.get $x))) (f32.load (i32.wrap_i64 (local.get $y))))))
        (local.set $x (i64.add (local.get $x) (i64.const 4)))
        (local.set $y (i64.sub (local.get $y) (i64.const -4)))
        (i32.eqz (i64.eqz (local.tee $left (i64.sub (local.get $left) (i64.const 1)))))
        if
          br 1
        end
      end
    end
    (local.get $sum))

  ;; What is found 8 bytes below the stack pointer: a 64-bit number of less than 2^31.
  (func $below (export "below") (result i32)
    (local $v i64)
    (local.set $v (i64.load (i32.wrap_i64 (i64.add (i64.extend_i32_u (global.get $sp)) (i64.const -8)))))
    (i32.lt_u (i32.wrap_i64 (local.get $v)) (i32.const 1000))
    if (result i32)
      (i32.wrap_i64 (i64.mul (local.get $v) (i64.const 3)))
    else
      (i32.const -1)
    end)

  ;; The same above it, where the address can be part of the load.
  (func $above (export "above") (result i32)
    (i32.wrap_i64 (i64.load offset=4 (i32.wrap_i64 (i64.add (i64.extend_i32_u (global.get $sp)) (i64.const 12))))))

  (func $stores (i64.store (i32.const 0) (i64.const 1)))
  (func $large (drop (i64.const 0x80000000)))
  (func $global (drop (global.get $g)))
  (func $typed (drop (i64.const 1) (block (param i64) (result i64))))
  (func $calls (call $nothing)))
