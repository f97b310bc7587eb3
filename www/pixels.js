// From whatever a page has to straight RGBA pixels.

import { QuarterturnError } from './errors.js';

const kinds = 'ImageData, {data, width, height}, an ImageBitmap, a Blob or File, an image, a canvas or a video';

/** Gives {data, width, height} of anything that shows an image. */
export async function pixelsOf(input) {
  if (input?.data && input.width > 0 && input.height > 0) {
    return { data: new Uint8Array(input.data.buffer, input.data.byteOffset, input.data.byteLength), width: input.width, height: input.height };
  }
  if (typeof Blob !== 'undefined' && input instanceof Blob) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(input, { premultiplyAlpha: 'none', colorSpaceConversion: 'none' });
    } catch (cause) {
      throw new QuarterturnError('image', `${/** @type {File} */ (input).name ?? 'the file'} is not an image this browser can read`, { cause });
    }
    try {
      return draw(bitmap, bitmap.width, bitmap.height);
    } finally {
      bitmap.close();
    }
  }
  const width = input?.videoWidth || input?.naturalWidth || input?.width;
  const height = input?.videoHeight || input?.naturalHeight || input?.height;
  if (!(width > 0 && height > 0) || typeof OffscreenCanvas === 'undefined') {
    throw new QuarterturnError('image', `cannot take pixels from this; give ${kinds}, once it has loaded`);
  }
  return draw(input, width, height);
}

function draw(source, width, height) {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  return pixelsOf(context.getImageData(0, 0, width, height));
}
