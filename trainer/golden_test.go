package trainer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"runtime"
	"testing"

	"golang.org/x/sys/cpu"
)

// The weights of trained slabs, bit for bit as they were when these lines were written: a
// change of the trainer that is not meant to change them does not. One that is meant to
// says so, with new digests.
func TestGoldenSlabs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if runtime.GOARCH != "amd64" || !cpu.X86.HasAVX2 || !cpu.X86.HasFMA {
		t.Skip("the digests are of vector kernels")
	}
	baseline, joint, episodes := smallConfig(), smallConfig(), episodesForTest("proto", "sla")
	baseline.Method, baseline.Nesterov, baseline.LabelSmoothing = "baseline", true, 0.1
	joint.Epochs, episodes.Epochs = 1, 1
	fast := FastConfig()
	fast.Net, fast.Epochs, fast.BatchSize = "fast8", 1, 16
	for _, c := range []struct {
		name, want string
		config     Config
	}{
		{"baseline", "cebd08c8fe89f77f207743b0defdbe61fab2a1d0a7be58528076c5d9916c308f", baseline},
		{"sla+sd", "e5b235e87d254ed36b7b102ff191ef5ae5c41b5b6f0db7830dea2e5e95fe9de5", joint},
		{"episodes", "7376ddfeae74718c55f33c3bf0ecdec26a64bcdd1b78b647659b5ceae26dc087", episodes},
		{"fast", "810a632d86b2f665b8689fddf16c38a938d3bbb883fca14ba7c433ec6489daab", fast},
	} {
		t.Run(c.name, func(t *testing.T) {
			model, _, err := Train(t.Context(), small(t), c.config, nil)
			if err != nil {
				t.Fatal(err)
			}
			h := sha256.New()
			for _, w := range model.Weights {
				for _, v := range w {
					h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
				}
			}
			if got := hex.EncodeToString(h.Sum(nil)); got != c.want {
				t.Errorf("the digest of the weights is %s, it was %s", got, c.want)
			}
		})
	}
}
