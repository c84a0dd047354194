package main

import (
	"math"
	"sort"
	"sync/atomic"
)

// metrics are counters and histograms without labels or a registry: less than what the original updates.
type metrics struct {
	dropped, warnings, flushed, publishErrors atomic.Int64
	utilization, batchSize                    *histogram
	batches                                   map[string]*atomic.Int64
	flushSeconds                              map[string]*histogram
}

func newMetrics() *metrics {
	m := &metrics{
		utilization:  newHistogram(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 40, 80, 160),
		batchSize:    newHistogram(10, 25, 50, 100, 150, 200, 250, 300, 350, 400, 450, 500),
		batches:      make(map[string]*atomic.Int64),
		flushSeconds: make(map[string]*histogram),
	}
	for _, reason := range []string{"capacity", "scheduled", "shutdown"} {
		m.batches[reason] = new(atomic.Int64)
		m.flushSeconds[reason] = newHistogram(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
	}
	return m
}

type histogram struct {
	bounds []float64
	counts []atomic.Int64
	sum    atomic.Uint64
}

func newHistogram(bounds ...float64) *histogram {
	return &histogram{bounds: bounds, counts: make([]atomic.Int64, len(bounds)+1)}
}

func (h *histogram) observe(value float64) {
	h.counts[sort.SearchFloat64s(h.bounds, value)].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+value)) {
			return
		}
	}
}
