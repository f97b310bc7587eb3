// The ways a picture comes to the page. Each calls take(input, what).

import { pixelsOf } from './quarterturn/pixels.js';

const $ = (id) => document.getElementById(id);

/** Sets up files: picked, dropped anywhere and pasted. Slabs go to open(file). */
export function setUpFiles(take, open, attempt) {
  const read = (file, name) => attempt(async () => {
    if (/\.slab$/i.test(file.name)) await open(file);
    else await take($('invert').checked && !$('invert').closest('.grey').hidden ? invert(await pixelsOf(file)) : file, name);
  });
  $('file').addEventListener('change', (e) => {
    const [file] = e.target.files;
    if (file) read(file, file.name);
    e.target.value = ''; // the same file may be picked again
  });
  const drop = $('drop');
  document.addEventListener('dragover', (e) => {
    e.preventDefault();
    drop.classList.add('over');
  });
  document.addEventListener('dragleave', (e) => !e.relatedTarget && drop.classList.remove('over'));
  document.addEventListener('drop', (e) => {
    e.preventDefault();
    drop.classList.remove('over');
    const [file] = e.dataTransfer.files;
    if (file) read(file, file.name);
    else attempt(() => { throw new Error('what was dropped is no file; save the picture first'); });
  });
  document.addEventListener('paste', (e) => {
    if (e.target.matches?.('input[type=text]')) return;
    const [file] = e.clipboardData.files;
    if (file) read(file, 'the pasted picture');
    else attempt(() => { throw new Error('there is no picture on the clipboard'); });
  });
}

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
    if (!this.#stream) return;
    this.#stream.getTracks().forEach((track) => track.stop());
    this.#stream = undefined;
    this.#video.srcObject = null;
    this.#show(false);
  }

  /** Turns the camera on; returns once there is a picture. */
  async start() {
    if (this.#stream) return;
    if (!navigator.mediaDevices) throw new Error('a page may use the camera only over https or on localhost');
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: { ideal: 'environment' } } });
    } catch (error) {
      throw new Error({ NotAllowedError: 'the camera was not allowed', NotFoundError: 'there is no camera' }[error.name] ?? `the camera cannot be used: ${error.message}`);
    }
    // What looks at the user is shown as a mirror shows it.
    this.#video.classList.toggle('mirror', this.#stream.getVideoTracks()[0].getSettings().facingMode !== 'environment');
    this.#video.srcObject = this.#stream;
    this.#show(true);
    await this.#video.play();
    this.#stream?.getTracks()[0].addEventListener('ended', () => this.stop());
    this.#attempt(() => this.#run(this.#stream));
  }

  async #run(mine) {
    while (this.#stream === mine) {
      if (!document.hidden && this.#video.videoWidth > 0) await this.#each(this.frame());
      await new Promise(requestAnimationFrame);
    }
  }

  #show(on) {
    this.#video.hidden = !on;
    this.#button.textContent = on ? 'Stop the camera' : 'Camera';
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
