// The algorithm of the original's batcher, written anew from its description: one channel, one loop, one map.
//
//   - Add offers each key to the channel and drops what finds no room; it never waits.
//   - The loop merges into a map by agent and key. The newest sample of a key wins, at equal times the one that comes
//     last. A full batch is written at once, any other when the interval has passed since the last one was.
//   - A batch is five parallel lists, written in one call; then the agents in it are announced, 363 in a message.
package main

import (
	"encoding/base64"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	channelName     = "workspace_agent_metadata_batch"
	defaultBatch    = 500
	queueBatches    = 5
	maxPayloadBytes = 8000
	idBytes         = 22
	warnInterval    = 10 * time.Second
)

type agentID [16]byte

type metadataKey struct {
	agent agentID
	key   string
}

type sample struct {
	value       string
	errorText   string
	collectedAt time.Time
}

type update struct {
	metadataKey
	sample
}

type store interface {
	UpdateBatch(agents []agentID, keys, values, errors []string, collectedAts []time.Time) error
}

type pubsub interface {
	Publish(channel string, payload []byte) error
}

type batcher struct {
	store    store
	pubsub   pubsub
	maxBatch int
	interval time.Duration

	updates chan update
	batch   map[metadataKey]sample
	pending atomic.Int64
	timer   *time.Timer
	warn    *time.Ticker
	stop    chan struct{}
	stopped chan struct{}
	metrics *metrics
}

func newBatcher(store store, pubsub pubsub, maxBatch int, interval time.Duration) *batcher {
	b := &batcher{
		store:    store,
		pubsub:   pubsub,
		maxBatch: maxBatch,
		interval: interval,
		updates:  make(chan update, maxBatch*queueBatches),
		batch:    make(map[metadataKey]sample),
		timer:    time.NewTimer(interval),
		warn:     time.NewTicker(warnInterval),
		stop:     make(chan struct{}),
		stopped:  make(chan struct{}),
		metrics:  newMetrics(),
	}
	go b.run()
	return b
}

func (b *batcher) Close() {
	close(b.stop)
	b.timer.Stop()
	<-b.stopped
}

// Waiting answers how many updates have not reached the loop.
func (b *batcher) Waiting() int { return len(b.updates) }

// Add takes lists of one length. Dropping is no error.
func (b *batcher) Add(agent agentID, keys, values, errors []string, collectedAt time.Time) error {
	if len(keys) != len(values) || len(keys) != len(errors) {
		return fmt.Errorf("lists of different lengths: %d keys, %d values, %d errors", len(keys), len(values), len(errors))
	}
	dropped := 0
	for i := range keys {
		select {
		case b.updates <- update{metadataKey{agent, keys[i]}, sample{values[i], errors[i], collectedAt}}:
		default:
			dropped++
		}
	}
	if dropped > 0 {
		b.metrics.dropped.Add(int64(dropped))
		select {
		case <-b.warn.C:
			b.metrics.warnings.Add(1)
		default:
		}
	}
	return nil
}

func (b *batcher) run() {
	defer close(b.stopped)
	for {
		select {
		case next := <-b.updates:
			b.merge(next)
			if len(b.batch) >= b.maxBatch {
				b.flush("capacity")
				b.timer.Reset(b.interval)
			}
		case <-b.timer.C:
			b.flush("scheduled")
			b.timer.Reset(b.interval)
		case <-b.stop:
			b.flush("shutdown")
			return
		}
	}
}

func (b *batcher) merge(next update) {
	held, found := b.batch[next.metadataKey]
	if found && next.collectedAt.Before(held.collectedAt) {
		return
	}
	b.batch[next.metadataKey] = next.sample
	if !found {
		b.pending.Store(int64(len(b.batch)))
	}
}

func (b *batcher) flush(reason string) {
	count := len(b.batch)
	if count == 0 {
		return
	}
	began := time.Now()
	agents := make([]agentID, 0, count)
	keys := make([]string, 0, count)
	values := make([]string, 0, count)
	errors := make([]string, 0, count)
	collectedAts := make([]time.Time, 0, count)
	keysPerAgent := make(map[agentID]int)
	for key, held := range b.batch {
		agents = append(agents, key.agent)
		keys = append(keys, key.key)
		values = append(values, held.value)
		errors = append(errors, held.errorText)
		collectedAts = append(collectedAts, held.collectedAt)
		keysPerAgent[key.agent]++
	}
	b.batch = make(map[metadataKey]sample)
	b.pending.Store(0)
	for _, keys := range keysPerAgent {
		b.metrics.utilization.observe(float64(keys))
	}

	if err := b.store.UpdateBatch(agents, keys, values, errors, collectedAts); err != nil {
		return
	}

	changed := make([]agentID, 0, len(keysPerAgent))
	for agent := range keysPerAgent {
		changed = append(changed, agent)
	}
	for _, payload := range encode(changed) {
		if err := b.pubsub.Publish(channelName, payload); err != nil {
			b.metrics.publishErrors.Add(1)
		}
	}
	b.metrics.batchSize.observe(float64(count))
	b.metrics.flushed.Add(int64(count))
	b.metrics.batches[reason].Add(1)
	b.metrics.flushSeconds[reason].observe(time.Since(began).Seconds())
}

// encode packs ids side by side, as many as a notification may have.
func encode(agents []agentID) [][]byte {
	const perPayload = maxPayloadBytes / idBytes
	payloads := make([][]byte, 0, (len(agents)+perPayload-1)/perPayload)
	for len(agents) > 0 {
		count := len(agents)
		if count > perPayload {
			count = perPayload
		}
		payload := make([]byte, count*idBytes)
		for i, agent := range agents[:count] {
			base64.RawStdEncoding.Encode(payload[i*idBytes:(i+1)*idBytes], agent[:])
		}
		payloads = append(payloads, payload)
		agents = agents[count:]
	}
	return payloads
}
