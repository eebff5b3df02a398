package launch

// Plus sums up.
func (a Answers) Plus(o Answers) Answers {
	return Answers{Hits: a.Hits + o.Hits, Misses: a.Misses + o.Misses, Negatives: a.Negatives + o.Negatives, Errors: a.Errors + o.Errors}
}

// add joins what another daemon or several counted. Of the memory it adds up limits and peaks too.
func (c *Counters) add(o *Counters) {
	c.Restarts += o.Restarts
	c.Requests = addCounts(c.Requests, o.Requests)
	c.ReadBytes += o.ReadBytes
	c.PushedBytes += o.PushedBytes
	if c.Store == nil {
		c.Store = map[string]Answers{}
	}
	for kind, a := range o.Store {
		c.Store[kind] = c.Store[kind].Plus(a)
	}
	c.Evictions += o.Evictions
	c.Memory.Limit += o.Memory.Limit
	c.Memory.Used += o.Memory.Used
	c.Memory.Peak += o.Memory.Peak
	c.Memory.Tables += o.Memory.Tables
	c.Cache.Tree = c.Cache.Tree.plus(o.Cache.Tree)
	c.Cache.Meta = c.Cache.Meta.plus(o.Cache.Meta)
	c.Cache.Data = c.Cache.Data.plus(o.Cache.Data)
	c.PFS.Operations = addCounts(c.PFS.Operations, o.PFS.Operations)
	c.PFS.Bytes += o.PFS.Bytes
	c.Warm = c.Warm.Plus(o.Warm)
	for i, t := range o.Trees {
		if i == len(c.Trees) {
			c.Trees = append(c.Trees, TreeStatus{Tree: t.Tree})
		}
		c.Trees[i].Asked += t.Asked
		c.Trees[i].Answered += t.Answered
		c.Trees[i].BytesIn += t.BytesIn
		c.Trees[i].BytesOut += t.BytesOut
	}
	c.Suspects += o.Suspects
	c.Slow += o.Slow
	c.Failovers += o.Failovers
	c.DirectReads += o.DirectReads
	c.Hedges += o.Hedges
	c.HedgesWon += o.HedgesWon
}

func addCounts(to, from map[string]int64) map[string]int64 {
	if to == nil {
		to = map[string]int64{}
	}
	for name, n := range from {
		to[name] += n
	}
	return to
}
