// Renames tensors of an ONNX file: pipelines of transformers.js want other names than our export gives.

const VARINT = 0, BYTES = 2;

/** The fields of a message: { field, type, from, to, value }, value where it is BYTES. */
function* fields(b) {
  let at = 0;
  const varint = () => {
    let v = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = b[at++];
      v += (byte & 127) * scale;
      if (byte < 128) return v;
    }
  };
  while (at < b.length) {
    const from = at;
    const key = varint();
    const [field, type] = [Math.floor(key / 8), key % 8];
    let value;
    if (type === VARINT) varint();
    else if (type === BYTES) {
      const length = varint();
      value = b.subarray(at, at + length);
      at += length;
    } else at += type === 1 ? 8 : 4;
    yield { field, type, from, to: at, value };
  }
}

function varintOf(v) {
  const out = [];
  for (; v >= 128; v = Math.floor(v / 128)) out.push((v % 128) + 128);
  return Buffer.from([...out, v]);
}

/** A message with some of its BYTES fields changed: change[field](value). */
const changed = (b, change) => Buffer.concat([...fields(b)].map(({ field, type, from, to, value }) => {
  if (type !== BYTES || !change[field]) return b.subarray(from, to);
  const v = change[field](value);
  return Buffer.concat([varintOf(field * 8 + BYTES), varintOf(v.length), v]);
}));

/** The bytes of an ONNX model with tensors renamed: names maps old names to new ones. The numbers are those of onnx.proto. */
export function rename(model, names) {
  const name = (v) => Buffer.from(names[Buffer.from(v).toString()] ?? v);
  const node = (v) => changed(v, { 1: name, 2: name });
  const info = (v) => changed(v, { 1: name });
  const graph = (v) => changed(v, { 1: node, 11: info, 12: info, 13: info });
  return changed(model, { 7: graph });
}
