// Package imagefile reads image files into pixels: PNG, JPEG, GIF and WebP, told apart by
// their content. Training, evaluation, prediction, scoring, Beam and the HTTP service all
// read files here, so a file means the same pixels to each of them.
//
// The pixels are those that browsers show and that Pillow computes with
// ImageOps.exif_transpose:
//
//   - The EXIF orientation of JPEG and PNG files is applied; that of WebP files is not, as
//     in browsers.
//   - JPEG is decoded to the bits of libjpeg-turbo (accurate integer inverse transform,
//     smooth upsampling of chroma), lossy WebP to those of libwebp.
//   - Alpha is straight: colours are not multiplied by it, not even on the way. Samples of
//     16 bits keep their upper eight.
//   - Colour profiles and gamma are ignored: samples are taken as they are stored.
//   - Of a GIF the first frame is read, at its place on the screen, which is transparent
//     elsewhere. Of an animated PNG the still image is read. Animated WebP is refused.
//   - What is wrong with a part of a PNG file that its pixels do not depend on is passed over.
//     A file whose pixels are damaged or cut off is refused, though browsers and Pillow draw
//     many of them: what they fill in is not the picture. That holds for progressive JPEG without its
//     last scans too, whose picture each program smooths in its own way. A PNG file without its end is
//     refused, as Chromium does.
//
// Files are bounded before they are decoded: their bytes, their pixels, their sides and, for
// progressive JPEG, pixels times scans. See Limits. Beside the file, decoding takes at most 9
// bytes of memory a pixel, 12 for interlaced PNG of 16 bits; an ordinary photo (JPEG, 4:2:0)
// takes 5. A Picture holds 1 to 4. A context stops the decoding, but for the one frame of a lossy
// WebP file.
package imagefile
