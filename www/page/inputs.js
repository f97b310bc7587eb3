// The ways pictures come to the page.

import { pixelsOf } from './quarterturn/pixels.js';

const $ = (id) => document.getElementById(id);

/**
 * Sets up files: picked, dropped anywhere and pasted. receive(files, place, what) gets all of them, with the element
 * that they are for, placeOf(where they came to); what: their name, where they have none of their own.
 */
export function setUpFiles(receive, placeOf, attempt) {
  $('file').addEventListener('change', (e) => {
    const files = [...e.target.files];
    e.target.value = ''; // the same file may be picked again
    if (files.length > 0) receive(files, $('drop'));
  });
  let over; // what would get them
  const mark = (place) => {
    over?.classList.remove('over');
    over = place;
    over?.classList.add('over');
  };
  document.addEventListener('dragover', (e) => {
    e.preventDefault();
    mark(placeOf(e.target));
  });
  document.addEventListener('dragleave', (e) => !e.relatedTarget && mark());
  document.addEventListener('drop', (e) => {
    e.preventDefault();
    mark();
    const place = placeOf(e.target);
    const isFiles = e.dataTransfer.types.includes('Files');
    const dropped = filesOf(e.dataTransfer);
    attempt(async () => {
      const files = await dropped;
      if (files.length > 0) await receive(files, place);
      else throw new Error(isFiles ? 'there is no picture in that folder' : 'what was dropped is no file; save the picture first');
    });
  });
  document.addEventListener('paste', (e) => {
    if (e.target.matches?.('input[type=text]')) return;
    const files = [...e.clipboardData.files];
    if (files.length > 0) receive(files, placeOf(e.target), 'the pasted picture');
    else attempt(() => { throw new Error('there is no picture on the clipboard'); });
  });
}

/** What was dropped: files, and the pictures and slabs in folders. Folders are known until the drop's event has ended. */
async function filesOf({ items }) {
  const found = Array.from(items).filter((item) => item.kind === 'file').map((item) => {
    const entry = item.webkitGetAsEntry?.();
    return entry?.isDirectory ? filesIn(entry) : [item.getAsFile()];
  });
  return (await Promise.all(found)).flat();
}

/** The pictures and slabs in a folder and in those in it, by their names. */
async function filesIn(folder) {
  const reader = folder.createReader();
  const entries = [];
  for (let some; some?.length !== 0; entries.push(...some)) some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // a hundred or so
  entries.sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const found = entries.map(async (entry) => {
    if (entry.isDirectory) return filesIn(entry);
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return file.type.startsWith('image/') || /\.slab$/i.test(file.name) ? [file] : [];
  });
  return (await Promise.all(found)).flat();
}

const MAGIC = [0x89, 0x51, 0x54, 0x53]; // docs/format.md

/** Is this file meant as a slab? Its first bytes tell, or its name. */
export async function isSlab(file) {
  const head = new Uint8Array(await file.slice(0, MAGIC.length).arrayBuffer());
  return /\.slab$/i.test(file.name) || MAGIC.every((byte, i) => head[i] === byte);
}

/** A file as it is to be looked at: inverted, where that is asked for. */
export const wanted = async (file) => ($('invert').checked && !$('invert').closest('.grey').hidden ? invert(await pixelsOf(file)) : file);

function invert(image) {
  for (let i = 0; i < image.data.length; i++) if (i % 4 !== 3) image.data[i] = 255 - image.data[i];
  return image;
}

/** Sets up the drawing area of nets for light shapes on black. */
export function setUpDrawing(take, show) {
  const canvas = $('drawing');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const wipe = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  Object.assign(context, { strokeStyle: '#fff', lineWidth: 18, lineCap: 'round', lineJoin: 'round' });
  wipe();
  let drawing = false;
  const at = (e) => [e.offsetX * canvas.width / canvas.clientWidth, e.offsetY * canvas.height / canvas.clientHeight];
  canvas.addEventListener('pointerdown', (e) => {
    drawing = true;
    canvas.setPointerCapture(e.pointerId);
    context.beginPath();
    context.moveTo(...at(e));
  });
  canvas.addEventListener('pointermove', (e) => {
    if (!drawing) return;
    context.lineTo(...at(e));
    context.stroke();
  });
  canvas.addEventListener('pointerup', () => {
    drawing = false;
    take(context.getImageData(0, 0, canvas.width, canvas.height), 'the drawing');
  });
  $('draw').addEventListener('click', () => {
    wipe();
    show('drawing');
  });
}

/**
 * Sets up a camera: a button, and the video it shows in. While it is on, each(frame) is called with one
 * frame after the other, as fast as it returns.
 */
export class Camera {
  #button;
  #video;
  #each;
  #attempt;
  #changed;
  #stream;
  #starting; // the promise of a camera that is being turned on

  /** changed(on) is told when it is turned on or off. */
  constructor(button, video, each, attempt, changed) {
    this.#button = button;
    this.#video = video;
    this.#each = each;
    this.#attempt = attempt;
    this.#changed = changed;
    button.addEventListener('click', () => (this.#stream ? this.stop() : attempt(() => this.start())));
  }

  get on() {
    return Boolean(this.#stream);
  }

  stop() {
    this.#starting = undefined;
    if (!this.#stream) return;
    this.#stream.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
    this.#video.srcObject = null;
    this.#show(false);
  }

  /** Turns the camera on; returns once there is a picture, or it was stopped meanwhile. */
  start() {
    if (this.#stream) return Promise.resolve();
    if (!this.#starting) {
      const mine = this.#turnOn(() => this.#starting === mine).finally(() => {
        if (this.#starting === mine) this.#starting = undefined;
      });
      this.#starting = mine;
    }
    return this.#starting;
  }

  async #turnOn(isWanted) {
    if (!navigator.mediaDevices) throw new Error('a page may use the camera only over https or on localhost');
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: 'environment' } } });
    } catch (error) {
      throw new Error({ NotAllowedError: 'the camera was not allowed', NotFoundError: 'there is no camera' }[error.name] ?? `the camera cannot be used: ${error.message}`);
    }
    if (!isWanted()) { // stopped before it was there
      stream.getTracks().forEach((track) => track.stop());
      return;
    }
    this.#stream = stream;
    // What looks at the user is shown as a mirror shows it.
    this.#video.classList.toggle('mirror', stream.getVideoTracks()[0].getSettings().facingMode !== 'environment');
    this.#video.srcObject = stream;
    this.#show(true);
    await this.#video.play();
    stream.getTracks()[0].addEventListener('ended', () => this.#stream === stream && this.stop());
    this.#attempt(() => this.#run(stream));
  }

  async #run(mine) {
    while (this.#stream === mine) {
      if (!document.hidden && this.#video.videoWidth > 0) await this.#each(this.frame());
      await new Promise(requestAnimationFrame);
    }
  }

  #show(on) {
    this.#video.hidden = !on;
    this.#button.textContent = on ? 'Stop camera' : 'Camera';
    this.#button.setAttribute('aria-pressed', String(on));
    this.#changed(on);
  }

  /** The middle of what it sees now, square, so that nothing is squeezed. */
  frame() {
    const { videoWidth: w, videoHeight: h } = this.#video;
    const side = Math.min(w, h);
    const canvas = new OffscreenCanvas(side, side);
    canvas.getContext('2d').drawImage(this.#video, (side - w) / 2, (side - h) / 2);
    return canvas;
  }
}
