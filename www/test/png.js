// Writes an opaque picture as a PNG: what the tests show to an <img>.

import { crc32, deflateSync } from 'node:zlib';

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data]);
  const out = Buffer.alloc(body.length + 8);
  out.writeUInt32BE(data.length);
  body.copy(out, 4);
  out.writeUInt32BE(crc32(body), body.length + 4);
  return out;
}

/** gamma: what the file says of its gamma, if it is to say so. */
export function png({ data, width, height }, gamma) {
  const about = gamma ? [chunk('gAMA', Buffer.from(Uint32Array.of(100000 * gamma).buffer).reverse())] : [];
  const header = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, 6, 0, 0, 0]); // eight bits, RGBA
  header.writeUInt32BE(width);
  header.writeUInt32BE(height, 4);
  const rows = Buffer.alloc(height * (1 + 4 * width)); // each behind its filter, none
  for (let y = 0; y < height; y++) rows.set(data.subarray(4 * width * y, 4 * width * (y + 1)), y * (1 + 4 * width) + 1);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', header), ...about, chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}
