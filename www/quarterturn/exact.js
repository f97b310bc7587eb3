// The pixels of files with which browsers take liberties, as host/imagefile reads them in Go.
//
// A canvas holds colours multiplied by their alpha, so the straight ones that a file has are
// rounded twice on their way, and not alike in all browsers; of 16 bits a sample some drop
// the lower eight and some round; of a GIF some show the first frame alone, not where it lies
// on its screen. So PNG with alpha or 16 bits is read here, of WebP the colours are taken
// without the alpha, and a GIF's frame is put in its place. All else is left to the browser.

/** The most pixels that are read here; larger pictures are left to the browser. */
const MOST = 1 << 27;

/**
 * Returns the straight RGBA pixels of a file, or undefined if the browser's are as good.
 * @param {Blob} blob
 * @param {(blob: Blob) => Promise<{ data: Uint8Array, width: number, height: number }>} decode the browser's decoder
 * @returns {Promise<{ data: Uint8Array, width: number, height: number } | undefined>}
 */
export async function exactPixels(blob, decode) {
  const head = new Uint8Array(await blob.slice(0, 32).arrayBuffer());
  const starts = (text, at = 0) => [...text].every((c, i) => head[at + i] === c.charCodeAt(0));
  let read;
  if (starts('\x89PNG\r\n')) read = png;
  else if (starts('RIFF') && starts('WEBP', 8)) read = webp;
  else if (starts('GIF8')) read = gif;
  else return undefined;
  try {
    return await read(new Uint8Array(await blob.arrayBuffer()), decode, blob);
  } catch {
    return undefined; // the browser says what is wrong with the file, or knows better
  }
}

/** Reads PNG with alpha that is neither none nor full, or of 16 bits. */
async function png(file) {
  const view = new DataView(file.buffer);
  const width = view.getUint32(16);
  const height = view.getUint32(20);
  const depth = file[24];
  const type = file[25];
  const interlaced = file[28] === 1;
  let palette = new Uint8Array(0);
  let transparent = new Uint8Array(0);
  let orientation = 1;
  const data = [];
  for (let at = 8; at + 12 <= file.length; ) {
    const size = view.getUint32(at);
    const name = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const content = file.subarray(at + 8, at + 8 + size);
    if (name === 'PLTE') palette = content;
    else if (name === 'tRNS') transparent = content;
    else if (name === 'eXIf' && data.length === 0) orientation = exifOrientation(content);
    else if (name === 'IDAT') data.push(content);
    at += 12 + size;
  }
  const inPalette = type === 3 && transparent.some((a) => a > 0 && a < 255);
  if (!(depth === 16 || type === 4 || type === 6 || inPalette) || width * height > MOST) return undefined;
  const channels = [1, 0, 3, 1, 2, 0, 4][type];
  const bits = channels * depth;
  const passes = interlaced ? [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]] : [[0, 0, 1, 1]];
  const sizes = passes.map(([x, y, dx, dy]) => ({ columns: Math.ceil((width - x) / dx), rows: Math.ceil((height - y) / dy) }));
  const lineOf = (columns) => Math.ceil((columns * bits) / 8);
  const total = sizes.reduce((n, { columns, rows }) => n + (columns > 0 && rows > 0 ? rows * (1 + lineOf(columns)) : 0), 0);
  const raw = await inflate(data, total);
  const out = new Uint8Array(4 * width * height);
  const pixel = pixelWriter(type, depth, palette, transparent);
  let at = 0;
  passes.forEach(([x0, y0, dx, dy], i) => {
    const { columns, rows } = sizes[i];
    if (columns <= 0 || rows <= 0) return;
    const line = lineOf(columns);
    unfilter(raw, at, rows, line, Math.max(1, bits >> 3));
    for (let y = 0; y < rows; y++) {
      const from = at + y * (line + 1) + 1;
      for (let x = 0; x < columns; x++) pixel(out, 4 * ((y0 + y * dy) * width + x0 + x * dx), raw, from, x);
    }
    at += rows * (line + 1);
  });
  return turned({ data: out, width, height }, orientation);
}

/** Decompresses so many bytes, and no more. */
async function inflate(parts, total) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream('deflate'));
  const out = new Uint8Array(total);
  let at = 0;
  const reader = stream.getReader();
  while (at < total) {
    const { done, value } = await reader.read();
    if (done) throw new Error('the data ends too early');
    out.set(value.subarray(0, total - at), at);
    at += value.length;
  }
  reader.cancel().catch(() => {});
  return out;
}

/** Undoes the filters of rows in place; each begins with a byte that names its filter. */
function unfilter(raw, start, rows, line, back) {
  for (let y = 0; y < rows; y++) {
    const row = start + y * (line + 1) + 1;
    const above = row - line - 1;
    const filter = raw[row - 1];
    for (let i = 0; i < line; i++) {
      const a = i >= back ? raw[row + i - back] : 0;
      const b = y > 0 ? raw[above + i] : 0;
      let guess = 0;
      if (filter === 1) guess = a;
      else if (filter === 2) guess = b;
      else if (filter === 3) guess = (a + b) >> 1;
      else if (filter === 4) {
        const c = y > 0 && i >= back ? raw[above + i - back] : 0;
        const pa = Math.abs(b - c);
        const pb = Math.abs(a - c);
        const pc = Math.abs(a + b - 2 * c);
        guess = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      } else if (filter !== 0) throw new Error('there is no such filter');
      raw[row + i] += guess;
    }
  }
}

/** Returns what writes pixel x of a row of samples as RGBA; of 16 bits it takes the upper eight. */
function pixelWriter(type, depth, palette, transparent) {
  const step = depth === 16 ? 2 : 1;
  if (type === 3) {
    const mask = (1 << depth) - 1;
    return (out, to, raw, from, x) => {
      const i = (raw[from + ((x * depth) >> 3)] >> (8 - depth - ((x * depth) & 7))) & mask;
      for (let c = 0; c < 3; c++) out[to + c] = palette[3 * i + c];
      out[to + 3] = i < transparent.length ? transparent[i] : 255;
    };
  }
  const colours = type & 2 ? 3 : 1;
  const channels = colours + (type & 4 ? 1 : 0);
  return (out, to, raw, from, x) => {
    const at = from + x * channels * step;
    for (let c = 0; c < 3; c++) out[to + c] = raw[at + (colours === 3 ? c * step : 0)];
    out[to + 3] = type & 4 ? raw[at + colours * step] : 255;
    if (!(type & 4) && transparent.length >= 2 * colours) { // 16 bits, of which one colour is transparent
      let same = true;
      for (let i = 0; i < 2 * colours; i++) same &&= raw[at + i] === transparent[i];
      if (same) out[to + 3] = 0;
    }
  };
}

/** Reads EXIF's orientation, 1 to 8. */
function exifOrientation(exif) {
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  const little = exif[0] === 0x49;
  const first = view.getUint32(4, little);
  for (let n = view.getUint16(first, little), at = first + 2; n > 0; n--, at += 12) {
    if (view.getUint16(at, little) !== 0x112 || view.getUint16(at + 2, little) !== 3) continue;
    const value = view.getUint16(at + 8, little);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** Turns and mirrors a picture as its orientation asks for. */
function turned({ data, width: w, height: h }, orientation) {
  if (orientation === 1) return { data, width: w, height: h };
  const [width, height] = orientation >= 5 ? [h, w] : [w, h];
  const from = new Uint32Array(data.buffer);
  const to = new Uint32Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [sx, sy] = [[w - 1 - x, y], [w - 1 - x, h - 1 - y], [x, h - 1 - y], [y, x], [y, h - 1 - x], [w - 1 - y, h - 1 - x], [w - 1 - y, x]][orientation - 2];
      to[y * width + x] = from[sy * w + sx];
    }
  }
  return { data: new Uint8Array(to.buffer), width, height };
}

/** Reads still WebP with alpha: its colours from a copy that says nothing of alpha, which is exact as it is. */
async function webp(file, decode, blob) {
  const view = new DataView(file.buffer);
  let opaque;
  for (let at = 12; at + 8 <= file.length; ) {
    const name = String.fromCharCode(...file.subarray(at, at + 4));
    const size = view.getUint32(at + 4, true);
    if (name === 'ANIM') return undefined;
    if (name === 'VP8 ' || name === 'VP8L') {
      opaque = file.slice(at, at + 8 + size + (size & 1));
      if (name === 'VP8L') opaque[12] &= ~0x10; // whether alpha is used
      break;
    }
    at += 8 + size + (size & 1);
  }
  const alpha = await decode(blob);
  let partial = false;
  for (let i = 3; i < alpha.data.length && !partial; i += 4) partial = alpha.data[i] > 0 && alpha.data[i] < 255;
  if (!partial) return alpha;
  const head = new Uint8Array([...'RIFF\0\0\0\0WEBP'].map((c) => c.charCodeAt(0)));
  new DataView(head.buffer).setUint32(4, 4 + opaque.length, true);
  const { data, width, height } = await decode(new Blob([head, opaque], { type: 'image/webp' }));
  if (width !== alpha.width || height !== alpha.height) return alpha;
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] !== 255) return alpha; // this browser does not believe the copy
    data[i] = alpha.data[i];
  }
  return { data, width, height };
}

/** Puts the first frame of a GIF in its place, if the browser gave the frame alone. */
async function gif(file, decode, blob) {
  const u16 = (at) => file[at] | (file[at + 1] << 8);
  let at = 13 + (file[10] & 0x80 ? 3 << (1 + (file[10] & 7)) : 0);
  while (file[at] === 0x21) { // extensions
    for (at += 2; file[at] > 0; ) at += 1 + file[at];
    at++;
  }
  if (file[at] !== 0x2c) return undefined;
  const [x, y, w, h] = [u16(at + 1), u16(at + 3), u16(at + 5), u16(at + 7)];
  const width = Math.max(u16(6), x + w);
  const height = Math.max(u16(8), y + h);
  const frame = await decode(blob);
  if (frame.width !== w || frame.height !== h || (w === width && h === height)) return frame;
  const data = new Uint8Array(4 * width * height);
  for (let row = 0; row < h; row++) data.set(frame.data.subarray(4 * row * w, 4 * (row + 1) * w), 4 * ((y + row) * width + x));
  return { data, width, height };
}
