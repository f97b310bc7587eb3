// What every JavaScript target of `quarterturn parity` does with a job; see
// cmd/quarterturn/internal/parity for the formats.

/** Runs a job on a Guest: every mode on every image, or one trace. */
export function runJob(guest, slab, job) {
  const bytes = new Uint8Array(job);
  const headLength = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + headLength)));
  let at = 4 + headLength;
  const images = head.images.map(({ width, height }) => {
    const data = bytes.subarray(at, (at += 4 * width * height));
    return { data, width, height };
  });
  guest.open(slab);
  const parts = [];
  if (head.trace) {
    guest.image(images[head.trace.image]);
    const trace = guest.trace(head.trace.mode);
    parts.push(new Uint32Array([trace.length]), trace);
  } else {
    parts.push(new Uint32Array([0]));
    for (const mode of head.modes) {
      for (const image of images) {
        parts.push(guest.classify(image, mode).logits);
      }
    }
    // The first images make a gallery, which then all are matched with.
    const classes = Math.min(10, images.length);
    const sums = [];
    images.slice(0, 2 * classes).forEach((image, i) => {
      guest.image(image);
      const directions = guest.features();
      if (i < classes) sums.push(directions);
      else directions.forEach((v, k) => { sums[i - classes][k] += v; });
    });
    const gallery = new Float32Array(classes * sums[0].length);
    sums.forEach((sum, i) => gallery.set(sum, i * sum.length));
    for (const image of images) {
      guest.image(image);
      parts.push(guest.match(gallery).logits);
    }
  }
  const out = new Uint8Array(parts.reduce((n, p) => n + p.byteLength, 0));
  let to = 0;
  for (const p of parts) {
    out.set(new Uint8Array(p.buffer, p.byteOffset, p.byteLength), to);
    to += p.byteLength;
  }
  return out;
}
