package imagefile

import "encoding/binary"

// An orientation is EXIF's (tag 0x0112): how stored rows and columns lie on the picture
// that is shown. 1 is upright; 2 mirrored; 3 turned by half; 4 flipped; 5 transposed;
// 6 to be turned right; 7 transposed over the other diagonal; 8 to be turned left.
type orientation uint8

const upright orientation = 1

// swapped reports whether rows become columns.
func (o orientation) swapped() bool { return o >= 5 }

// exifOrientation reads the orientation from EXIF data, which is a TIFF header and its
// first directory in either byte order. Data that makes no sense says nothing: browsers
// show such pictures as they are stored.
func exifOrientation(tiff []byte) orientation {
	if len(tiff) < 8 {
		return upright
	}
	var order binary.ByteOrder
	switch string(tiff[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return upright
	}
	entries := tiff[at+2:]
	const tag, short = 0x0112, 3
	for n := int(order.Uint16(tiff[at:])); n > 0 && len(entries) >= 12; n, entries = n-1, entries[12:] {
		if order.Uint16(entries) != tag || order.Uint16(entries[2:]) != short || order.Uint32(entries[4:]) != 1 {
			continue
		}
		if v := order.Uint16(entries[8:]); v >= 1 && v <= 8 {
			return orientation(v)
		}
		return upright
	}
	return upright
}
