// Package storetest holds what every store must do, whatever its database: the
// other half of the contracts in evidence, lease and outbox. What is not tested here
// is not promised. It does not know how a store keeps its rows.
package storetest
