//go:build cgo && libfabric

#define _GNU_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rdma/fabric.h>
#include <rdma/fi_cm.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_eq.h>
#include <rdma/fi_errno.h>
#include <rdma/fi_tagged.h>

/* The interface that is asked for. Libraries from 1.15 on give it, whatever they can themselves. */
#define API FI_VERSION(1, 15)

/* The symbols' versions that belong to the layouts in these headers. A newer library keeps them; from 1.20 on each
 * has its own, which only append fields to structs that the library itself allocates, so that the default does. */
#if FI_VERSION_LT(FI_VERSION(FI_MAJOR_VERSION, FI_MINOR_VERSION), FI_VERSION(1, 20))
#define INFO_ABI "FABRIC_1.3"
#else
#define INFO_ABI NULL
#endif

static struct {
	int (*getinfo)(uint32_t, const char *, const char *, uint64_t, const struct fi_info *, struct fi_info **);
	void (*freeinfo)(struct fi_info *);
	struct fi_info *(*dupinfo)(const struct fi_info *);
	int (*fabric)(struct fi_fabric_attr *, struct fid_fabric **, void *);
	const char *(*strerror)(int);
	uint32_t (*version)(void);
} fi;

static void *symbol(void *lib, const char *name, const char *version)
{
	void *found = version ? dlvsym(lib, name, version) : NULL;
	return found ? found : dlsym(lib, name);
}

uint32_t shim_version(void) { return fi.version(); }
const char *shim_strerror(int error) { return fi.strerror(error); }

/* hints is what the endpoints must be able to do. */
static struct fi_info *hints(const char *provider, const char *domain)
{
	struct fi_info *h = fi.dupinfo(NULL);
	if (!h)
		return NULL;
	h->caps = FI_TAGGED | FI_MSG;
	h->mode = FI_CONTEXT | FI_CONTEXT2;
	h->ep_attr->type = FI_EP_RDM;
	h->tx_attr->msg_order = h->rx_attr->msg_order = FI_ORDER_SAS;
	h->domain_attr->threading = FI_THREAD_SAFE;
	h->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_ENDPOINT | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_VIRT_ADDR;
	h->fabric_attr->prov_name = strdup(provider);
	h->domain_attr->name = domain ? strdup(domain) : NULL;
	return h;
}

static int getinfo(const char *provider, const char *domain, const char *node, const char *service,
		   struct fi_info **info)
{
	struct fi_info *h = hints(provider, domain);
	if (!h)
		return -FI_ENOMEM;
	int ret = fi.getinfo(API, node, service, node || service ? FI_SOURCE : 0, h, info);
	fi.freeinfo(h);
	return ret == 0 && !*info ? -FI_ENODATA : ret;
}

/* Some providers (psm2) take over signals when they are loaded or begin, among them those by which Go finds its nil
 * pointers and preempts its goroutines. */
static void save_signals(struct sigaction *actions)
{
	for (int i = 1; i < _NSIG; i++)
		sigaction(i, NULL, &actions[i]);
}

static void restore_signals(const struct sigaction *actions)
{
	for (int i = 1; i < _NSIG; i++)
		sigaction(i, &actions[i], NULL);
}

static int load(const char *name, char *path, size_t path_size, char *why, size_t why_size)
{
	void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!lib) {
		snprintf(why, why_size, "%s", dlerror());
		return -ENOENT;
	}
	*(void **)&fi.getinfo = symbol(lib, "fi_getinfo", INFO_ABI);
	*(void **)&fi.freeinfo = symbol(lib, "fi_freeinfo", INFO_ABI);
	*(void **)&fi.dupinfo = symbol(lib, "fi_dupinfo", INFO_ABI);
	*(void **)&fi.fabric = symbol(lib, "fi_fabric", "FABRIC_1.1");
	*(void **)&fi.strerror = symbol(lib, "fi_strerror", "FABRIC_1.0");
	*(void **)&fi.version = symbol(lib, "fi_version", "FABRIC_1.0");
	if (!fi.getinfo || !fi.freeinfo || !fi.dupinfo || !fi.fabric || !fi.strerror || !fi.version) {
		snprintf(why, why_size, "%s lacks functions of libfabric", name);
		dlclose(lib);
		return -ENOSYS;
	}
	Dl_info of;
	if (!dladdr(*(void **)&fi.version, &of) || !of.dli_fname)
		of.dli_fname = name;
	snprintf(path, path_size, "%s", of.dli_fname);
	struct fi_info *info = NULL;
	if (getinfo("tcp", NULL, NULL, NULL, &info) == 0) /* whatever it finds, all providers have begun then */
		fi.freeinfo(info);
	return 0;
}

int shim_load(const char *name, char *path, size_t path_size, char *why, size_t why_size)
{
	struct sigaction actions[_NSIG];
	save_signals(actions);
	int ret = load(name, path, path_size, why, why_size);
	restore_signals(actions);
	return ret;
}

static void name(char *to, const char *from) { snprintf(to, SHIM_NAME, "%s", from ? from : ""); }

int shim_devices(const char *provider, struct shim_device *devices, int max)
{
	struct fi_info *list = NULL;
	int n = 0, ret = getinfo(provider, NULL, NULL, NULL, &list);
	if (ret)
		return ret;
	for (struct fi_info *i = list; i && n < max; i = i->next, n++) {
		struct shim_device *d = &devices[n];
		memset(d, 0, sizeof *d);
		name(d->provider, i->fabric_attr->prov_name);
		name(d->domain, i->domain_attr->name);
		name(d->fabric, i->fabric_attr->name);
		if (i->src_addr && i->src_addrlen <= SHIM_ADDRESS) {
			memcpy(d->address, i->src_addr, i->src_addrlen);
			d->address_len = i->src_addrlen;
		}
		d->link = -1;
		if (i->nic && i->nic->link_attr) {
			enum fi_link_state state = i->nic->link_attr->state;
			d->link = state == FI_LINK_UP ? 1 : state == FI_LINK_DOWN ? 0 : -1;
			d->speed = i->nic->link_attr->speed;
		}
	}
	fi.freeinfo(list);
	return n;
}

/* An operation's context: libfabric's own, which it may write to until the operation has completed, and its place. */
struct operation {
	struct fi_context2 context;
	uint32_t place;
};

struct shim_port {
	struct fi_info *info;
	struct fid_fabric *fabric;
	struct fid_domain *domain;
	struct fid_av *av;
	struct fid_cq *cq;
	struct fid_ep *ep;
	struct fid_mr *mr;
	void *desc;
	int polls;
	uint64_t all_tags; /* the bits that the provider's tags have */
	struct shim_arena arena;
	struct operation *operations;
};

static void shut(void *object)
{
	if (object)
		fi_close((struct fid *)object); /* every object begins with its fid */
}

void shim_close(struct shim_port *p)
{
	shut(p->ep);
	shut(p->mr);
	shut(p->cq);
	shut(p->av);
	shut(p->domain);
	shut(p->fabric);
	if (p->info)
		fi.freeinfo(p->info);
	free(p->operations);
	free(p);
}

/* TRY remembers which call it was that failed. */
#define TRY(call, ...)                                 \
	do {                                           \
		*what = #call;                         \
		if ((ret = (call)(__VA_ARGS__)) != 0)  \
			goto failed;                   \
	} while (0)

int shim_open(const char *provider, const char *domain, const char *node, const char *service,
	      struct shim_port **port, struct shim_limits *limits, const char **what)
{
	int ret;
	struct shim_port *p = calloc(1, sizeof *p);
	if (!p)
		return -FI_ENOMEM;
	*what = "fi_getinfo";
	if ((ret = getinfo(provider, domain, node, service, &p->info)) != 0)
		goto failed;
	*what = "fi_fabric";
	if ((ret = fi.fabric(p->info->fabric_attr, &p->fabric, NULL)) != 0)
		goto failed;
	TRY(fi_domain, p->fabric, p->info, &p->domain, NULL);
	limits->receives = p->info->rx_attr->size;

	struct fi_av_attr av = {.type = p->info->domain_attr->av_type};
	if (av.type == FI_AV_UNSPEC)
		av.type = FI_AV_TABLE;
	TRY(fi_av_open, p->domain, &av, &p->av, NULL);

	struct fi_cq_attr cq = {.format = FI_CQ_FORMAT_TAGGED, .wait_obj = FI_WAIT_UNSPEC};
	cq.size = p->info->tx_attr->size + limits->receives;
	if (fi_cq_open(p->domain, &cq, &p->cq, NULL) != 0) {
		cq.wait_obj = FI_WAIT_NONE; /* cxi of some versions */
		p->polls = 1;
		TRY(fi_cq_open, p->domain, &cq, &p->cq, NULL);
	}
	limits->deaf = p->polls || fi_cq_signal(p->cq) != 0;
	/* mem_tag_format is 1010… from the highest bit that may be used. cxi refuses others even to be ignored. */
	p->all_tags = ~0ULL;
	if (p->info->ep_attr->mem_tag_format && !(p->info->ep_attr->mem_tag_format >> 62))
		p->all_tags >>= __builtin_clzll(p->info->ep_attr->mem_tag_format);
	TRY(fi_endpoint, p->domain, p->info, &p->ep, NULL);
	TRY(fi_ep_bind, p->ep, &p->cq->fid, FI_TRANSMIT | FI_RECV);
	TRY(fi_ep_bind, p->ep, &p->av->fid, 0);
	*port = p;
	return 0;
failed:
	shim_close(p);
	return ret;
}

int shim_enable(struct shim_port *p, const struct shim_arena *arena, uint8_t *address, size_t *address_len,
		const char **what)
{
	int ret;
	p->arena = *arena;
	*what = "calloc";
	if (!(p->operations = calloc(arena->places, sizeof *p->operations)))
		return -FI_ENOMEM;
	for (uint32_t i = 0; i < arena->places; i++)
		p->operations[i].place = i;
	TRY(fi_enable, p->ep);
	if (p->info->domain_attr->mr_mode & FI_MR_LOCAL) {
		TRY(fi_mr_reg, p->domain, arena->base, arena->size, FI_SEND | FI_RECV, 0, 0, 0, &p->mr, NULL);
		if (p->info->domain_attr->mr_mode & FI_MR_ENDPOINT) {
			TRY(fi_mr_bind, p->mr, &p->ep->fid, 0);
			TRY(fi_mr_enable, p->mr);
		}
		p->desc = fi_mr_desc(p->mr);
	}
	TRY(fi_getname, &p->ep->fid, address, address_len);
	return 0;
failed:
	return ret;
}

int shim_insert(struct shim_port *p, const uint8_t *address, uint64_t *peer)
{
	int ret = fi_av_insert(p->av, address, 1, peer, 0, NULL);
	return ret == 1 ? 0 : ret < 0 ? ret : -FI_EINVAL;
}

int shim_remove(struct shim_port *p, uint64_t peer) { return fi_av_remove(p->av, &peer, 1, 0); }

static uint8_t *at(struct shim_port *p, uint32_t place)
{
	return (uint8_t *)p->arena.base + p->arena.offset[place];
}

int shim_send(struct shim_port *p, uint32_t place, size_t length, uint64_t peer, uint64_t tag)
{
	return fi_tsend(p->ep, at(p, place), length, p->desc, peer, tag, &p->operations[place].context);
}

/* Waits where the provider can't: it looks every 20 µs at first, then less and less often, every 1 ms in the end. */
static ssize_t read_polling(struct shim_port *p, void *entries, size_t max, int timeout)
{
	struct timespec pause = {0, 20 * 1000};
	int64_t left = (int64_t)timeout * 1000 * 1000;
	for (;;) {
		ssize_t n = fi_cq_read(p->cq, entries, max);
		if (n != -FI_EAGAIN || left <= 0)
			return n;
		nanosleep(&pause, NULL);
		left -= pause.tv_nsec;
		if (pause.tv_nsec < 1000 * 1000)
			pause.tv_nsec += pause.tv_nsec / 8;
	}
}

static void report(struct shim_event *e, void *context, int error, size_t length, uint64_t tag)
{
	e->place = context ? ((struct operation *)context)->place : UINT32_MAX;
	e->error = error;
	e->length = length;
	e->tag = tag;
}

int shim_poll(struct shim_port *p, const uint32_t *places, uint32_t *posts, size_t capacity, int timeout,
	      struct shim_event *events)
{
	struct fi_cq_tagged_entry entries[SHIM_EVENTS];
	for (uint32_t i = 0; i < *posts; i++) {
		/* Any tag: whose message it is, is looked up when it is there. So no connection has receives of its own,
		 * and none can be out of them. */
		ssize_t ret = fi_trecv(p->ep, at(p, places[i]), capacity, p->desc, FI_ADDR_UNSPEC, 0, p->all_tags,
				       &p->operations[places[i]].context);
		if (ret == -FI_EAGAIN) {
			*posts = i;
			timeout = timeout ? 1 : 0; /* and then again */
		} else if (ret) {
			return ret;
		}
	}
	ssize_t n = -FI_ENOSYS;
	if (!p->polls)
		n = fi_cq_sread(p->cq, entries, SHIM_EVENTS, NULL, timeout);
	if (n == -FI_ENOSYS || n == -FI_EOPNOTSUPP) {
		p->polls = 1;
		n = read_polling(p, entries, SHIM_EVENTS, timeout);
	}
	for (ssize_t i = 0; i < n; i++)
		report(&events[i], entries[i].op_context, 0, entries[i].len, entries[i].tag);
	if (n == -FI_EAGAIN || n == -FI_EINTR || n == -FI_ETIMEDOUT || n == -1)
		return 0; /* -1 is epoll_wait's, where cxi meets a signal */
	if (n != -FI_EAVAIL)
		return n;
	union { /* newer libraries may write a longer one */
		struct fi_cq_err_entry entry;
		uint8_t room[256];
	} failed;
	memset(&failed, 0, sizeof failed);
	if ((n = fi_cq_readerr(p->cq, &failed.entry, 0)) <= 0)
		return n == -FI_EAGAIN ? 0 : n;
	report(&events[0], failed.entry.op_context, failed.entry.err, failed.entry.len, failed.entry.tag);
	return 1;
}

void shim_wake(struct shim_port *p)
{
	if (!p->polls)
		fi_cq_signal(p->cq);
}
