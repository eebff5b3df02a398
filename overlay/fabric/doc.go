// Package fabric carries connections over libfabric: over CXI, the protocol of the Slingshot network
// itself, and over libfabric's own TCP providers, which are there for tests.
package fabric
