// How much work a JPEG file is, before a browser decodes it.

import { QuarterturnError } from './errors.js';

// As in host/imagefile, where they say why.
const MOST_SCANS = 64;
const MOST_PIXELS = 100_000_000;

/** @type {WeakSet<Blob>} the files that were found good: who shows a picture and classifies it asks twice */
const good = new WeakSet();

/**
 * Refuses a JPEG file that refines its pixels far more often than encoders do: a browser would be busy with it
 * for a minute, and no signal stops it.
 * @param {any} blob
 */
export async function checkScans(blob) {
  if (good.has(blob)) return;
  const [first, second] = new Uint8Array(await blob.slice(0, 2).arrayBuffer());
  if (first !== 0xff || second !== 0xd8) return;
  const file = new Uint8Array(await blob.arrayBuffer());
  let [width, height, scans] = [0, 0, 0]; // scans: counted once for each of their components
  for (let at = file.indexOf(0xff); at >= 0 && at + 10 < file.length; at = file.indexOf(0xff, at)) {
    const marker = file[at + 1];
    if (marker === 0 || (marker >= 0xd0 && marker <= 0xd8) || marker === 1 || marker === 0xff) { // no segment is behind it
      at += marker === 0xff ? 1 : 2;
      continue;
    }
    if (marker === 0xd9) break;
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) { // a frame
      height = (file[at + 5] << 8) | file[at + 6];
      width = (file[at + 7] << 8) | file[at + 8];
    }
    if (marker === 0xda) scans += file[at + 4];
    at += 2 + ((file[at + 2] << 8) | file[at + 3]);
  }
  if (Math.floor(scans / MOST_SCANS) > Math.floor(MOST_PIXELS / (width * height))) {
    throw new QuarterturnError('image', `${blob.name ?? 'the file'} refines ${width}x${height} pixels ${scans} times, far more often than encoders do; write it again with another program`);
  }
  good.add(blob);
}
