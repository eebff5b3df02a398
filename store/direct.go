package store

import "context"

// Direct is a [Source] in front of two: it takes the data of large files from the origin, and all else
// from the other. It is for those who rather have each node read a large file itself than have it pass
// from node to node.
type Direct struct {
	Source
	origin Source
	most   int64
}

// NewDirect returns a Direct in front of src and origin, for files of more than most bytes.
func NewDirect(src, origin Source, most int64) *Direct {
	return &Direct{Source: src, origin: origin, most: most}
}

// ReadChunk implements [Source].
func (d *Direct) ReadChunk(ctx context.Context, file File, index int64) (*Chunk, error) {
	if file.Version.Size > d.most {
		return d.origin.ReadChunk(ctx, file, index)
	}
	return d.Source.ReadChunk(ctx, file, index)
}
