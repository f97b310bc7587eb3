// What goes in and comes out. It needs TypeScript 5.2 or newer, and neither DOM nor Node types.

/** A type of the platform, where its types are known; else nothing. */
type Platform<Name extends string> = typeof globalThis extends { [key in Name]: { prototype: infer T } } ? T : never;

// Arrays with a buffer of their own, which TypeScript tells from others since 5.7.
type Bytes = ReturnType<Uint8Array['slice']>;
type Floats = ReturnType<Float32Array['slice']>;

/** Inference modes: see `Info.modes` for those of a slab. */
export type Mode = 'baseline' | 'single' | 'aggregated' | 'distilled' | 'adaptive';

/** The modes in the module's numbering; `auto`, the first, is the one that the slab recommends. */
export const modes: readonly ('auto' | Mode)[];

/**
 * What went wrong:
 * - `not-slab`, `version`, `corrupt`, `unsupported`: the model is no slab, a newer one, damaged, or beyond a limit
 * - `mode`: the slab does not have this mode, or nothing is enrolled
 * - `image`: no pixels can be had from the input
 * - `option`: an option has a value that makes no sense
 * - `selftest`: this device computes other bits than the one that made the slab
 * - `fetch`: the model or the module could not be downloaded or read
 * - `module`: what was given as `wasm` is not the module of this release
 * - `csp`: the page's Content-Security-Policy forbids WebAssembly
 * - `memory`: the module ran out of memory, or takes more than `maxMemory` by itself (a model that needs more is `unsupported`)
 * - `crashed`: the worker or the module failed; the next call starts a new one
 * - `aborted`: the signal was aborted; `name` is AbortError or TimeoutError, `cause` the signal's reason
 * - `closed`: the classifier was closed
 * - `no-slab`, `block`: the module was called wrongly, which is a fault of this package
 */
export type ErrorCode =
  | 'not-slab' | 'version' | 'corrupt' | 'unsupported' | 'mode' | 'image' | 'option' | 'selftest' | 'fetch' | 'module' | 'csp'
  | 'memory' | 'crashed' | 'aborted' | 'closed' | 'no-slab' | 'block';

/** Every promise of this package that is rejected is rejected with one. */
export class QuarterturnError extends Error {
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown });
  /** For programs; `message` is for people. */
  readonly code: ErrorCode;
  readonly cause?: unknown;
}

/** Where bytes are: an address (in Node, Deno and Bun also a path), a Response, a Blob, or the bytes themselves. */
export type Source = string | Platform<'URL'> | Platform<'Response'> | Platform<'Blob'> | ArrayBuffer | ArrayBufferView;

export interface Progress {
  what: 'model' | 'wasm';
  /** Bytes so far. */
  loaded: number;
  /** Bytes in all; 0 if unknown. */
  total: number;
}

export interface LoadOptions {
  /** The module, or it compiled; by default quarterturn-simd.wasm or quarterturn.wasm beside this package's files. */
  wasm?: Source | object;
  /**
   * Which build of the module to load, unless `wasm` is given. `auto`, the default: the one with vector operations where
   * the platform has them; `false`: the plain one. Both compute the same bits.
   */
  simd?: 'auto' | false;
  /** Runs on a thread of its own, where there are threads. Default true. */
  worker?: boolean;
  /** Called while something downloads. */
  onProgress?: (progress: Progress) => void;
  signal?: Platform<'AbortSignal'>;
  /** Multiply-adds that an image may take in the mode with the most passes. Default 2^36, some ten seconds. */
  maxWork?: number;
  /** Bytes of memory of the module. Default 256 MiB and eight times the slab. Its bound is not for a `wasm` that is compiled already. */
  maxMemory?: number;
}

export interface Pixels {
  /** `channels` bytes a pixel, row by row; alpha is straight. */
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  /** 4 for RGBA, the default; 3 for RGB; 1 for grey. */
  channels?: number;
}

/**
 * A picture. A File or Blob (PNG, JPEG, GIF, WebP), or an <img> of a blob: or data: address, has the pixels that it
 * has in Go, but for CMYK JPEG: EXIF orientation applied, colours as they are stored. Other images are decoded
 * without a conversion of colours; canvases, videos and ImageBitmaps give the colours that they hold, which where alpha is
 * partial or samples have 16 bits differ by a level between browsers. A picture from another origin needs CORS.
 */
export type Input =
  | Pixels | Platform<'ImageData'> | Platform<'ImageBitmap'> | Platform<'VideoFrame'> | Platform<'Blob'> | Platform<'HTMLImageElement'>
  | Platform<'HTMLCanvasElement'> | Platform<'OffscreenCanvas'> | Platform<'HTMLVideoElement'>;

export interface Label {
  label: string;
  /** Of the label in `Info.labels`, or in `Gallery.examples`. */
  index: number;
  /** 0 to 1. */
  probability: number;
}

export interface Prediction {
  /** The most probable classes, best first. */
  top: Label[];
  /** (N): one a class. */
  logits: Floats;
  /** (N): the softmax of the logits. */
  probabilities: Floats;
  /** The mode that ran, with `auto` resolved; `matched` from a gallery. */
  mode: Mode | 'matched';
  /** Passes of the network it took. */
  passes: number;
  /** Milliseconds from pixels to answer, the way to the worker included. */
  ms: number;
  /** (passes, N), row by row, as in Go: the logits of each view; only for modes of the joint head. */
  views?: Floats;
}

/** The description of a slab: its manifest, and what follows from it. */
export interface Info {
  name: string;
  /** SHA-256 in hexadecimal: the slab's identity. */
  hash: string;
  parameters: number;
  /** Multiply-adds of the convolutions of one pass. */
  macs: number;
  /** Multiply-adds that an image takes in the mode with the most passes, as `maxWork` counts them. */
  work: number;
  /** Bytes of memory that the module needs, as `maxMemory` counts them. */
  memory: number;
  labels: string[];
  /** The views: counter-clockwise quarter turns, and which channel of the image each channel is. */
  transforms: { turns: number; channels: number[] }[];
  input: { channels: number; height: number; width: number; mean: number[]; std: number[] };
  /** `passes` is the number it takes at most. */
  modes: { mode: Mode; passes: number }[];
  /** When the mode adaptive answers after a pass, for a slab that has it. */
  exits?: { margin: number; temperature: number; share: number }[];
  recommended: Mode;
  /**
   * Scores: accuracy 0 to 1, nll in nats, ece over 15 bins. A mode's probabilities are calibrated if one of
   * its scores has a `temperature`, which was fitted on those images; those of adaptive always are.
   */
  metrics: { mode: Mode; split: string; n: number; accuracy: number; nll: number; ece: number; temperature?: number }[];
  provenance: {
    tool: string; data: string; method: string; net: string;
    seed: number; images: number; epochs: number; steps: number;
  };
  selftest: { seed: number; digest: string };
}

/** Milliseconds that loading took: both downloads, compiling the module, opening the slab. */
export interface Timings {
  readonly download: number;
  readonly compile: number;
  readonly open: number;
}

export interface CallOptions {
  /** How many classes `top` names. Default 5. */
  topK?: number;
  /** Gives the call up: at once for the caller, after some 10 ms for the thread. */
  signal?: Platform<'AbortSignal'>;
}

export interface ClassifyOptions extends CallOptions {
  /** Default `auto`: the mode that the slab recommends. */
  mode?: 'auto' | Mode;
}

/** The key of `using`, where it is known. */
type Dispose = typeof Symbol extends { readonly dispose: infer Key extends symbol } ? Key : never;
type AsyncDispose = typeof Symbol extends { readonly asyncDispose: infer Key extends symbol } ? Key : never;
type Disposable = { [key in Dispose]: () => void } & { [key in AsyncDispose]: () => Promise<void> };

/** A loaded model. Calls run one after the other. */
export interface Classifier extends Disposable {
  readonly info: Info;
  readonly timings: Timings;
  /** The build of the module that was loaded; undefined if `wasm` was given. */
  readonly build?: 'simd' | 'plain';

  /**
   * Classifies a picture, or several one after the other.
   * @throws {QuarterturnError} `image`, `mode`, `option`, `aborted`, `crashed`, `memory`, `closed`
   */
  classify(input: Input, options?: ClassifyOptions): Promise<Prediction>;
  classify(inputs: readonly Input[], options?: ClassifyOptions): Promise<Prediction[]>;

  /**
   * A gallery, which classifies by what it is shown: without examples, or with those of a `Gallery.state` of the same slab.
   * It ends with this classifier.
   * @throws {QuarterturnError} `option` if the state is not one of this slab
   */
  gallery(state?: GalleryState): Gallery;

  /**
   * The last classified picture as the net saw it: (C, H, W), normalised.
   * @throws {QuarterturnError} `image` if there was none; `closed`
   */
  input(): Promise<Floats>;

  /**
   * Runs the slab's self-test here; returns its digest in hexadecimal.
   * @throws {QuarterturnError} `selftest`, `closed`
   */
  verify(): Promise<string>;

  /** Ends the thread and frees its memory; calls that wait fail with code `closed`. */
  close(): Promise<void>;
}

/** What a gallery holds: of each label the directions (M, F) of its pictures. It survives `structuredClone`. */
export type GalleryState = { label: string; pictures: Float32Array[] }[];

export interface Match extends Prediction {
  /** (N): the probabilities as they are calibrated on the pictures themselves, each left out in turn. */
  calibrated: Floats;
  /** Why not to rely on it: like nothing that was shown, or between labels, none of which is as probable as 0.6 (`calibrated`). */
  doubt?: 'unlike' | 'between';
}

/**
 * Tells apart by a few pictures of each what the model was never trained on: what the net makes of
 * a picture's views is compared with what it made of theirs.
 */
export interface Gallery {
  /** The labels, in the order in which they came, and how many pictures each has. */
  readonly examples: { label: string; pictures: number }[];

  /** What it holds, to be stored and passed to `Classifier.gallery` later. */
  readonly state: GalleryState;

  /**
   * Adds a picture of something.
   * @throws {QuarterturnError} `image`, `option`, `aborted`, `crashed`, `memory`, `closed`
   */
  enrol(label: string, input: Input, options?: { signal?: Platform<'AbortSignal'> }): Promise<void>;

  /**
   * Drops a label with its pictures, or one picture of it, counted from 0. A label that is not there is no error.
   * @throws {QuarterturnError} `option` if it has no such picture
   */
  forget(label: string, picture?: number): void;

  /**
   * Gives a label another name.
   * @throws {QuarterturnError} `option` if there is no such label, or one of the new name, or that is empty
   */
  rename(label: string, name: string): void;

  /**
   * Says what a picture is most like.
   * @throws {QuarterturnError} `mode` if nothing is enrolled; as `Classifier.classify`
   */
  classify(input: Input, options?: CallOptions): Promise<Match>;

  /**
   * The slab of what was taught: the net under a head of prototypes. Whatever opens slabs opens it, and
   * its mode `aggregated` answers as this gallery does.
   * @throws {QuarterturnError} `mode` if nothing is enrolled; `option`; `unsupported` without https; `closed`
   */
  slab(options?: { name?: string }): Promise<Bytes>;
}

/**
 * Loads a slab and the module that runs it.
 * @throws {QuarterturnError} `fetch`, `not-slab`, `version`, `corrupt`, `unsupported`, `module`, `csp`, `memory`,
 *   `option`, `crashed`, `aborted`
 */
export function load(model: Source, options?: LoadOptions): Promise<Classifier>;

export {}; // what is not marked is not exported
