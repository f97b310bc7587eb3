package main

import (
	"os"
	"strings"
	"testing"
)

// Whatever is wrong, there is one line that says so and what to do, nothing on
// standard output, and the right exit code.
func TestBadInput(t *testing.T) {
	t.Parallel()
	at := folder(t)
	for _, c := range []struct {
		args string // @name is a file of the folder
		code int
		want string
	}{
		{"frobnicate", 2, `unknown command "frobnicate"`},
		{"predict", 2, "give a slab, as the first argument or with --model"},
		{"predict --model @a --model @b @picture.png", 2, "this command takes one slab"},
		{"verify @tiny.slab @plain.slab", 2, `unexpected argument`},
		{"eval --model @tiny.slab @plain.slab --data fashion-mini", 2, `the slabs were given with --model`},
		{"predict --model @tiny.slab", 2, "give at least one image, after the slab"},
		{"predict --model @tiny.slab --fast @picture.png", 2, "unknown flag: --fast"},
		{"predict --model @none.slab @picture.png", 1, "none.slab: no such file"},
		{"predict --model @cut.slab @picture.png", 1, "corrupt slab"},
		{"predict --model @newer.slab @picture.png", 1, "update quarterturn"},
		{"predict --model @page.slab @picture.png", 1, "page.slab: not a slab: magic at byte 0: this looks like an HTML"},
		{"predict --model @tiny.slab @none.png", 1, "none.png: no such file"},
		{"predict --model @tiny.slab @letter.txt", 1, "letter.txt: not an image of a known kind"},
		{"predict --model @tiny.slab @cut.png", 1, "cut.png: "},
		{"score --model @tiny.slab --out @lines --shard 3/2 @picture.png", 2, `shard "3/2"`},
		{"score --model @tiny.slab --out - @picture.png", 2, "--out -: score writes a file, so that a stopped run can resume"},
		{"score --model @tiny.slab --out @picture.png @picture.png", 1, "picture.png is there already"},
		{"score --model @tiny.slab --out @lines @none", 1, "none: no such file"},
		{"score --model @tiny.slab --out @lines.xlsx @picture.png", 2, "end the name in .jsonl"},
		{"score --model @tiny.slab --out @lines -", 1, "standard input (-) lists no files"},
		{"score --model @tiny.slab --out @bad @letter.txt", 1, "none of the 1 images could be classified"},
		{"serve --model @tiny.slab --tls-cert @letter.txt", 2, "go together"},
		{"predict --model @tiny.slab --mode fastest @picture.png", 2, `there is no mode "fastest"; use auto, baseline`},
		{"predict --model @plain.slab --mode aggregated @picture.png", 1, "this slab does not have the mode aggregated; it has baseline"},
		{"inspect @letter.txt", 1, "not a slab"},
		{"inspect /dev/zero", 1, "not a slab"},
		{"train --data fashion-mini --out @new --from /dev/zero", 1, "not a slab"},
		{"import /dev/zero --out @x", 2, ".safetensors or .onnx"},
		{"import @net.onnx --out @net.onnx", 2, "is the file to be read"},
		{"export @net.onnx --out @net.onnx", 2, "is the file to be read"},
		{"import @net.onnx --out @x --labels @wide.txt", 1, "wide.txt: the text is UTF-16"},
		{"verify @cut.slab", 1, "corrupt slab"},
		{"fewshot eval --model @tiny.slab --data fashion-mini --way 11", 1, "10 classes have the 20 images that an episode needs, want 11"},
		{"fewshot train --data fashion-mini --out @new --head svm", 2, `head "svm": want proto or ridge`},
		{"fewshot train --data fashion-mini --out @new --way 6", 1, "10 classes are too few for episodes of 6"},
		{"fewshot train --data fashion-mini", 2, `required flag(s) "out" not set`},
		{"train --data fashion-mini --out @new --device tpu", 2, `device "tpu": want cpu, cuda or auto`},
		{"train --data omniglot:@none --out @lines", 1, "images_background_small1.zip"},
		{"calibrate --out @lines", 2, "give --run, or a slab and --data"},
		{"calibrate --run @none --out @lines", 1, "holds no run"},
		{"calibrate --model @plain.slab --data fashion-mini --out @lines", 1, "do not have the same classes"},
		{"train --out @lines --data fashion-mini --loss hinge", 2, `loss "hinge": want ce, cb-rw, cb-focal or ldam`},
		{"eval --model @tiny.slab --data mnist", 1, `data "mnist" is neither a folder nor`},
		{"eval --model @tiny.slab --data fashion-mini", 1, "do not have the same classes: the slab has cat, dog, été; fashion-mini has T-shirt"},
		{"eval --model @tiny.slab --data @none --split middle", 2, "want test or train"},
		{"train --data fashion-mini --out @run", 1, "holds a run already"},
		{"train --data folder:@trained --out @trained", 1, "lies in the folder of the pictures"},
		{"train @trained --out @trained/new", 1, "lies in the folder of the pictures"},
		{"train --data fashion-mini --out @new --method slap", 2, "want baseline, da, mt, sla, sla+sd"},
		{"train --data fashion-mini --out @new --transform color3", 1, "the images are grey"},
		{"train --data cifar10:@none --out @new", 1, "no data_batch"},
		{"train --data fashion-mini", 2, "give --out, the folder of the run"},
		{"train", 2, "give a folder of pictures or --data, or --resume"},
		{"train @new --data fashion-mini", 2, "not both"},
		{"train --data fashion-mini --out @new --net resnet8 --from backbone", 2, "leave out --net or --from"},
		{"train --resume @run --batch 3", 2, "leave out --batch"},
		{"train --resume @none", 1, "holds no run"},
		{"train @new --resume @run", 2, "--resume keeps the pictures of the run"},
		{"train --resume @run --epochs 0", 2, "at least 1"},
		{"train @none", 1, "there is no folder"},
		{"train @letter.txt", 1, "letter.txt is a file, not a folder of pictures"},
		{"train --data folder:@letter.txt --out @new", 1, "letter.txt is a file, not a folder of pictures"},
		{"eval @tiny.slab --data @letter.txt", 1, "letter.txt is a file, not a folder of pictures"},
		{"train --data fashion-mini --out @new --minutes 0", 2, "must be above 0"},
		{"train --data fashion-mini --out @new --minutes inf", 2, "must be above 0 and finite"},
		{"train --data fashion-mini --out @new --minutes 1 --epochs 1", 2, "not both"},
		{"train --data fashion-mini --out @new --from=", 2, "want the file of a slab, backbone or none"},
		{"train --data folder:@none --out @run", 1, "holds a run already"},
		{"train --data fashion-mini --out @new --epochs 0", 2, "the number of epochs must be at least 1"},
		{"train --data fashion-mini --out @new --batch 1", 2, "a batch must have at least 2 images"},
		{"train --data fashion-mini --out @new --lr NaN", 2, "the learning rate must be above 0"},
		{"train --data fashion-mini --out @new --transform sideways", 2, `"sideways" is unknown`},
		{"train --data @none --out @new --schedule steep", 2, `schedule "steep": want`},
		{"train --data @none --out @new --net resnet9", 2, `net "resnet9", did you mean resnet8`},
		{"train --data @none --out @new --serve quickest", 2, `serve "quickest": there is no mode "quickest"; use auto, baseline`},
		{"train --data fashion-mini --out @new --size 7", 2, "want 8 to 512"},
		{"predict @tiny.slab --top -1 @picture.png", 2, "must be at least 0"},
		{"predict @run @picture.png", 1, "run is a folder, not a slab"},
		{"predict @trained @picture.png", 1, "trained is the folder of a run; its slab is"},
		{"predict @tiny.slab -", 1, "standard input: the file is empty"},
		{"predict @tiny.slab https://example.com/a.png", 2, "fetch it first"},
		{"score @tiny.slab --top -1 --out @lines @picture.png", 2, "must be at least 0"},
		{"score @tiny.slab --out @none/lines @picture.png", 1, "there is no folder"},
		{"eval @tiny.slab --data @none --limit -1", 2, "must be at least 0"},
		{"eval @tiny.slab --data @none --limit NaN", 2, "invalid"},
		{"eval @tiny.slab --data @none --confusion @x.png", 2, "end the name in .svg"},
		{"eval @tiny.slab --data @none --confusion @none/x.svg", 1, "there is no folder"},
		{"calibrate @tiny.slab --data @none --out @none/x.slab", 1, "there is no folder"},
		{"calibrate @tiny.slab --data @none --out @x.slab --max-accuracy-drop -1", 2, "must be at least 0"},
		{"calibrate @plain.slab --data @none --out @x.slab --max-accuracy-drop 1", 2, "needs a joint and a distilled head"},
		{"calibrate @tiny.slab --data @none --out @x.slab --split middle", 2, "want test or train"},
		{"calibrate @tiny.slab --data @none --out @run", 1, "it is a folder"},
		{"score @tiny.slab --out= @picture.png", 2, "must not be empty"},
		{"train --data fashion-mini --out @letter.txt", 1, "letter.txt is a file"},
		{"fewshot eval @tiny.slab --data @none --way 1", 2, "at least 2 classes"},
		{"train --resume @run", 1, "config.json"},
		{"parity --model @tiny.slab --targets native,abacus", 1, `there is no target "abacus"`},
		{"parity --model @tiny.slab --images @none", 1, "there is no folder"},
		{"parity --model @tiny.slab --images @run", 1, "holds no PNG"},
		{"bench --model @tiny.slab --engines native,v8", 1, `there is no engine "v8"; the engines are native, wazero, wazero-simd, node`},
		{"bench --model @tiny.slab --rounds 0", 2, "--rounds must be at least 1"},
		{"export @tiny.slab --out @tiny.pb", 2, "want a name that ends in .onnx or .safetensors"},
		{"export @cut.slab --out @cut.onnx", 1, "corrupt slab"},
		{"new --net resnet9 --out @nine.slab", 2, `net "resnet9", did you mean resnet8`},
		{"new --net resnet8 --size 0 --out @none.slab", 2, "at least 1"},
		{"reproduce nothing --out @runs", 2, `there is no experiment "nothing"`},
		{"reproduce fashion-mini --out @runs --only ( ", 2, "--only: "},
		{"reproduce fashion-mini --out @runs --only x --finished-only", 2, "leave out --only"},
		{"reproduce cifar10 --out @runs", 1, "cifar10 needs the folder of the data set"},
		{"serve --model @tiny.slab --addr nowhere:http:x", 2, "is to be HOST:PORT"},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			if before, name, ok := strings.Cut(a, "@"); ok {
				a = before + at(name)
			}
			args = append(args, a)
		}
		stdout, stderr, code := runCommand(t, args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		last := lines[len(lines)-1]
		if code != c.code || !strings.Contains(last, c.want) || !strings.HasPrefix(last, "quarterturn: ") || stdout != "" {
			t.Errorf("%s: exit code %d, standard output %q, last words %q; want %d and %q", c.args, code, stdout, last, c.code, c.want)
		}
	}
	if _, err := os.Stat(at("new")); err == nil {
		t.Error("a run that could not begin left its folder behind")
	}
}
