//go:build cgo && libfabric

// What of libfabric this package uses, flat: numbers, bytes, and errors as negative errnos.

#ifndef COPPER_FABRIC_SHIM_H
#define COPPER_FABRIC_SHIM_H

#include <stddef.h>
#include <stdint.h>

#define SHIM_NAME 64
#define SHIM_ADDRESS 64
#define SHIM_EVENTS 64

struct shim_device {
	char provider[SHIM_NAME], domain[SHIM_NAME], fabric[SHIM_NAME];
	uint8_t address[SHIM_ADDRESS];
	uint32_t address_len;
	int32_t link; /* 1 up, 0 down, -1 not known */
	uint64_t speed;
};

/* A port is an endpoint (fi_ep) with all that belongs to it. */
struct shim_port;

/* How many receives a port may have under way, and how it waits. */
struct shim_limits {
	uint64_t receives;
	int32_t deaf; /* shim_wake doesn't wake it */
};

/* Where the messages' places are: of operation i at offset[i]. */
struct shim_arena {
	void *base;
	size_t size;
	const uint64_t *offset;
	uint32_t places;
};

struct shim_event {
	uint32_t place; /* UINT32_MAX where the provider doesn't say */
	int32_t error;	/* a positive errno, or 0 */
	uint64_t length, tag;
};

/* Loads the library, and tells which file that is; otherwise why not. */
int shim_load(const char *name, char *path, size_t path_size, char *why, size_t why_size);
uint32_t shim_version(void);
const char *shim_strerror(int error);

/* Up to max devices of a provider; returns how many there are. */
int shim_devices(const char *provider, struct shim_device *devices, int max);

/* Opens a port at a node and service (FI_SOURCE), which may be NULL, and a domain, which may be too. On failure
 * what says which call failed. The arena is used until the port is closed. */
int shim_open(const char *provider, const char *domain, const char *node, const char *service,
	      struct shim_port **port, struct shim_limits *limits, const char **what);
int shim_enable(struct shim_port *port, const struct shim_arena *arena, uint8_t *address, size_t *address_len,
		const char **what);
void shim_close(struct shim_port *port);

int shim_insert(struct shim_port *port, const uint8_t *address, uint64_t *peer);
int shim_remove(struct shim_port *port, uint64_t peer);

int shim_send(struct shim_port *port, uint32_t place, size_t length, uint64_t peer, uint64_t tag);

/* Posts receives of up to capacity bytes at *posts places, and waits up to timeout ms for completions, of which it
 * returns up to SHIM_EVENTS. *posts becomes how many of them were posted. */
int shim_poll(struct shim_port *port, const uint32_t *places, uint32_t *posts, size_t capacity, int timeout,
	      struct shim_event *events);

/* Ends a shim_poll that waits, if the provider can. */
void shim_wake(struct shim_port *port);

#endif
