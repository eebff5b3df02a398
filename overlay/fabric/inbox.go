package fabric

import "sync"

// inbox is what has come over a connection and was not read yet. One that is empty holds no memory.
type inbox struct {
	blocks [][]byte // each of blockSize; the data is from begin in the first to end in the last
	begin  int
	end    int
	length int
}

const blockSize = maxData

var blocks = sync.Pool{New: func() any { b := make([]byte, blockSize); return &b }}

func (in *inbox) add(data []byte) {
	in.length += len(data)
	for len(data) > 0 {
		if len(in.blocks) == 0 || in.end == blockSize {
			in.blocks = append(in.blocks, *blocks.Get().(*[]byte))
			in.end = 0
		}
		n := copy(in.blocks[len(in.blocks)-1][in.end:], data)
		in.end += n
		data = data[n:]
	}
}

func (in *inbox) read(p []byte) (n int) {
	for n < len(p) && in.length > 0 {
		first := in.blocks[0]
		if len(in.blocks) == 1 {
			first = first[:in.end]
		}
		k := copy(p[n:], first[in.begin:])
		n, in.begin, in.length = n+k, in.begin+k, in.length-k
		if in.begin == len(first) {
			in.drop()
		}
	}
	return n
}

// drop drops the first block, or all there are if they hold nothing more.
func (in *inbox) drop() {
	first := in.blocks[0][:blockSize]
	blocks.Put(&first)
	in.blocks[0] = nil
	in.blocks = in.blocks[1:]
	in.begin = 0
	if len(in.blocks) == 0 {
		*in = inbox{}
	}
}

func (in *inbox) clear() {
	for len(in.blocks) > 0 {
		in.drop()
	}
}
