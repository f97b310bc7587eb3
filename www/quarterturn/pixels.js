// From whatever a program has to straight RGBA pixels: one rule for all inputs.
//
// Pixels are taken as they are stored, without a conversion of colours where the platform
// lets one ask for that (files, images); canvases, videos and ImageBitmaps hold what was
// converted when they were made.

import { QuarterturnError } from './errors.js';
import { exactPixels } from './exact.js';
import { checkScans } from './scans.js';

const kinds = 'ImageData, {data, width, height}, an ImageBitmap, a VideoFrame, a Blob or File, an image, a canvas or a video';
const inNode = "; Node decodes no images: use a library, for example sharp: const { data, info } = await sharp(file).rotate().raw().toBuffer({ resolveWithObject: true }), then classify({ data, ...info })";
const raw = { premultiplyAlpha: /** @type {const} */ ('none'), colorSpaceConversion: /** @type {const} */ ('none') };

/**
 * Returns {data, width, height} of anything that shows an image; data is RGBA with straight
 * alpha, 4 bytes a pixel, row by row.
 * @param {any} input an Input
 * @returns {Promise<{ data: Uint8Array, width: number, height: number }>}
 */
export async function pixelsOf(input) {
  const is = (name) => typeof globalThis[name] === 'function' && input instanceof globalThis[name];
  try {
    if (is('ImageData')) return own(ofImageData(input), input);
    if (is('Blob')) return await ofFile(input);
    if (is('HTMLImageElement')) return await ofImage(input);
    if (is('VideoFrame')) return draw(input, input.displayWidth, input.displayHeight);
    if (is('HTMLVideoElement')) return draw(input, input.videoWidth, input.videoHeight);
    if (input?.data && 'width' in input) return own(plain(input), input);
    if (is('ImageBitmap')) return await straightened(input, draw(input, input.width, input.height));
    if (is('HTMLCanvasElement') || is('OffscreenCanvas')) return draw(input, input.width, input.height);
  } catch (cause) {
    if (cause instanceof QuarterturnError) throw cause;
    const foreign = cause.name === 'SecurityError' ? 'the picture is from another origin, and the page may not read it: serve it with CORS headers, and set crossOrigin on the <img> or <video>' : cause.message;
    throw new QuarterturnError('image', foreign, { cause });
  }
  const platform = typeof OffscreenCanvas === 'undefined' && 'process' in globalThis ? inNode : '';
  throw new QuarterturnError('image', `cannot take pixels from this; give ${kinds}, once it has loaded${platform}`);
}

/** Pixels that are not the caller's bytes, which may change meanwhile, and be a part of far more. */
const own = (image, { data: { buffer } }) => (image.data.buffer === buffer ? { ...image, data: image.data.slice() } : image);

/**
 * Are these bytes? Not by instanceof: the arrays of an iframe have constructors of their own.
 * @param {any} data
 * @returns {data is Uint8Array | Uint8ClampedArray}
 */
const isBytes = (data) => ArrayBuffer.isView(data) && ['Uint8Array', 'Uint8ClampedArray'].includes(data[Symbol.toStringTag]);

/** Pixels as other programs hand them over: 1, 3 or 4 bytes each. */
function plain({ data, width, height, channels = 4 }) {
  if (!isBytes(data)) {
    throw new QuarterturnError('image', `the data of an image is to be a Uint8Array or Uint8ClampedArray, not ${data?.constructor?.name ?? typeof data}`);
  }
  if (!(Number.isInteger(width) && width > 0 && Number.isInteger(height) && height > 0)) {
    throw new QuarterturnError('image', `the width and height of an image are to be whole numbers of pixels, not ${JSON.stringify(width)} and ${JSON.stringify(height)}`);
  }
  if (![1, 3, 4].includes(channels)) throw new QuarterturnError('image', `an image has 1, 3 or 4 channels (grey, RGB, RGBA), not ${channels}`);
  if (data.length !== channels * width * height) {
    throw new QuarterturnError('image', `an image of ${width}x${height} needs ${channels * width * height} bytes in ${channels} channels, got ${data.length}`);
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  if (channels === 4) return { data: bytes, width, height };
  const rgba = new Uint8Array(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgba[4 * i + c] = bytes[channels * i + (channels === 3 ? c : 0)];
  }
  return { data: rgba, width, height };
}

/** The bytes of an ImageData; of other colour spaces and number formats, as sRGB in bytes. */
function ofImageData(image) {
  const { data, width, height, colorSpace } = image;
  if (data instanceof Uint8ClampedArray && (colorSpace ?? 'srgb') === 'srgb') return plain({ data, width, height });
  const context = canvas(width, height);
  context.putImageData(image, 0, 0);
  return plain(context.getImageData(0, 0, width, height));
}

async function ofFile(blob) {
  return (await exactPixels(blob, decode)) ?? decode(blob);
}

async function decode(blob) {
  if (typeof createImageBitmap === 'undefined') throw new QuarterturnError('image', `files cannot be decoded here${inNode}`);
  return ofBitmap(await bitmapOf(blob, raw));
}

/**
 * Returns what createImageBitmap does; its error says what a file is that it cannot read.
 * @param {any} source
 * @param {ImageBitmapOptions} [options]
 */
export async function bitmapOf(source, options) {
  if (source instanceof Blob) await checkScans(source);
  return createImageBitmap(source, options).catch(async (cause) => { throw await unreadable(source, cause); });
}

/**
 * What browsers do not read, or not all of them, by what files start with.
 * @type {readonly (readonly [RegExp, string])[]}
 */
const otherKinds = [
  [/^.{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)/s, 'HEIC'],
  [/^.{4}ftypavi[fs]/s, 'AVIF'],
  [/^.{4}ftyp/s, 'a film'],
  [/^(II\*\0|MM\0\*)/, 'TIFF'],
  [/^%PDF/, 'PDF'],
  [/<svg[\s>]/i, 'a drawing (SVG), without pixels of its own'],
];

/**
 * Returns the error that says what a file is, of which the browser makes no image.
 * @param {any} blob
 * @param {unknown} [cause]
 */
async function unreadable(blob, cause) {
  const name = blob.name ?? 'the file';
  const start = await blob.slice?.(0, 1024).arrayBuffer().catch(() => undefined); // it may be gone
  const head = start ? String.fromCharCode(...new Uint8Array(start)) : '';
  const kind = otherKinds.find(([pattern]) => pattern.test(head))?.[1];
  const words = kind ? `is ${kind}, which this browser does not read: save it as JPEG or PNG`
    : blob.type && !blob.type.startsWith('image/') ? 'is not an image' : 'is not an image this browser can read';
  return new QuarterturnError('image', `${name} ${words}`, { cause });
}

/** An <img> of a blob: or data: address is read as the file that it is; else what it shows is taken. */
async function ofImage(image) {
  if (!(image.naturalWidth > 0)) throw new QuarterturnError('image', 'the <img> has not loaded a picture, or has no size of its own');
  if (/^(blob|data):/.test(image.currentSrc)) {
    try {
      return await ofFile(await (await fetch(image.currentSrc)).blob());
    } catch {
      // The address was revoked, or the page's policy keeps scripts from it; or it is a drawing (SVG).
    }
  }
  return ofBitmap(await createImageBitmap(image, raw));
}

/**
 * Takes the straight colours of a bitmap that was made with premultiplyAlpha: 'none', which Firefox keeps but
 * multiplies by alpha in drawing. Whether the bitmap is such a one only shows in that the drawn colours are about these.
 */
async function straightened(bitmap, drawn) {
  const partial = (i) => drawn.data[i] > 0 && drawn.data[i] < 255;
  let any = false;
  for (let i = 3; i < drawn.data.length && !any; i += 4) any = partial(i);
  if (!any || typeof VideoFrame === 'undefined') return drawn;
  try {
    const frame = new VideoFrame(bitmap, { timestamp: 0 });
    const data = new Uint8Array(drawn.data.length);
    try {
      await frame.copyTo(data, { format: 'RGBA' });
    } finally {
      frame.close();
    }
    for (let i = 3; i < data.length; i += 4) {
      if (data[i] !== drawn.data[i]) return drawn;
      if (!partial(i)) continue;
      // A level of a colour times alpha is 255/alpha levels of the colour.
      for (let c = i - 3; c < i; c++) if (Math.abs(data[c] - drawn.data[c]) * data[i] > 255 + data[i]) return drawn;
    }
    return { ...drawn, data };
  } catch {
    return drawn; // frames of video are for secure pages alone
  }
}

function ofBitmap(bitmap) {
  try {
    return draw(bitmap, bitmap.width, bitmap.height);
  } finally {
    bitmap.close();
  }
}

function draw(source, width, height) {
  if (!(width > 0 && height > 0)) throw new QuarterturnError('image', 'there is no picture yet: it has no size');
  const context = canvas(width, height);
  context.drawImage(source, 0, 0, width, height);
  return plain(context.getImageData(0, 0, width, height));
}

function canvas(width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new QuarterturnError('image', `a picture of ${width}x${height} is too large for this browser`);
  return context;
}
