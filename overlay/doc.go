// Package overlay lets the nodes of a job ask each other instead of the parallel file system.
//
// An [Overlay] is a [store.Source] whose answers come from the next node up a tree. What a
// request goes through, from a node's store to the PFS:
//
//	store ─ Overlay ─ peer ─ asker ════ answerer ─ the parent's store ─ its Overlay ─ … ─ origin
//	        router    health  one link: frames
//
// The path of a question selects one of several trees, all of them arithmetic on the sorted
// roster (tree.go, forest.go). A node that is the root of that tree asks its origin. Any other
// asks its parent, over a link that both ends have authenticated with the job's secret. When a
// parent fails, the question goes to the next ancestor, then to the first live node in the
// tree's order, and at last to this node's own origin: slower, never an error of the overlay's
// making.
//
// A question only ever travels to a node whose position in the tree is smaller, so it can't run in
// circles, whatever the nodes on its way believe about who is alive.
//
// Slowness is not failure: the PFS may take minutes to answer, so no request has a deadline of
// its own. What a node knows of another (watch.go, standing.go) holds for all trees:
//
//   - dead: nothing has come from it for three ping intervals while it was waited for. All that is
//     under way with it ends at once and goes elsewhere. It is probed, less and less often, and is asked
//     again when it can be reached.
//   - slow: a ping stays unanswered for a quarter of an interval, or others were clearly faster several
//     times in a row. Others are preferred for a while. Who waits for the PFS answers pings, so a slow PFS
//     makes nobody slow.
//
// A question whose answer is late is put to the next ancestor as well, and the first to answer wins
// (hedge.go). Late is far beyond what is usual for its kind, and 250 ms at least. Hedges are at most a
// twentieth of the requests, and they meet in the store above, so they are nothing to the PFS. Only where a root
// itself is lastingly slow do the first few nodes after it read the PFS in its place.
//
// When a peer has been silent for one interval, those that would be asked next are tried side by side,
// and some others at random (solitude.go): so several dead ancestors cost little more time than
// one, and a node that is itself cut off learns that once, in four intervals, and reads the PFS until
// somebody answers.
//
// Whoever connects has proven nothing until the handshake is over (handshake.go, tls.go,
// strangers.go), and has a share of the node from then on, over which it can't go (children.go):
// whatever it sends, it costs the node no more than that, and others nothing.
//
// Beside the file system's questions the overlay carries control requests, which [Overlay.Gather]
// puts to every node of the job.
//
// Links are connections of a [Transport]: over [TCP]; over libfabric, and so over Slingshot's own protocol, by
// package fabric; within one process by [Virtual]; or over several of them, by [Schemes].
//
// The package keeps no answers and joins no equal questions: that is the work of the store on
// either side of it. It knows nothing of FUSE or MPI.
package overlay
