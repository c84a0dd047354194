// Feeds the batcher as the other contestants are fed, and prints what that took as JSON.
//
//	batcher <reports|roll|repeats> <agents> <count>
//
// Built with `go build` from these files alone; needs nothing but the standard library.
package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	keysPerAgent  = 15
	keysPerReport = 10
	lookEvery     = 20
	patience      = 1250
	flushInterval = 5 * time.Second
)

type report struct {
	agent                agentID
	keys, values, errors []string
}

func makeReport(agent agentID, first int) report {
	r := report{agent: agent, errors: make([]string, keysPerReport)}
	stem := fmt.Sprintf("%x", agent)[:18]
	for i := first; i < first+keysPerReport; i++ {
		bytes := 20
		if i%5 == 0 {
			bytes = 200
		}
		r.keys = append(r.keys, "signal_"+strconv.Itoa(i%keysPerAgent))
		r.values = append(r.values, stem+strings.Repeat(".", bytes-len(stem)))
	}
	return r
}

func makeAgents(count int) []agentID {
	agents := make([]agentID, count)
	for i := range agents {
		digest := sha256.Sum256([]byte(fmt.Sprintf("agent %d", i)))
		copy(agents[i][:], digest[:16])
	}
	return agents
}

// makeReports makes the reports of a kind, in memory in the order of their use.
func makeReports(kind string, agents []agentID) []report {
	type place struct {
		agent agentID
		first int
	}
	var order []place
	switch kind {
	case "reports":
		for _, agent := range agents {
			order = append(order, place{agent, 0}, place{agent, 5}, place{agent, 10})
		}
		rand.New(rand.NewSource(1)).Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	case "roll":
		for _, agent := range agents {
			order = append(order, place{agent, 0})
		}
	case "repeats":
		for start := 0; start < len(agents); start += 40 {
			end := start + 40
			if end > len(agents) {
				end = len(agents)
			}
			for round := 0; round < 10; round++ {
				for _, agent := range agents[start:end] {
					order = append(order, place{agent, 0})
				}
			}
		}
	}
	reports := make([]report, len(order))
	for i, place := range order {
		reports[i] = makeReport(place.agent, place.first)
	}
	return reports
}

// sink walks the rows and keeps nothing.
type sink struct{ batches, rows, published, bytes int }

func (s *sink) UpdateBatch(agents []agentID, _, values, _ []string, _ []time.Time) error {
	s.batches++
	s.rows += len(agents)
	for _, value := range values {
		s.bytes += len(value)
	}
	return nil
}

func (s *sink) Publish(_ string, payload []byte) error {
	s.published += len(payload)
	return nil
}

func feed(b *batcher, reports []report, count int) {
	at := time.Date(2026, 1, 22, 12, 0, 0, 0, time.UTC)
	for i := 0; i < count; i++ {
		r := reports[i%len(reports)]
		if err := b.Add(r.agent, r.keys, r.values, r.errors, at); err != nil {
			panic(err)
		}
		if i%lookEvery == 0 {
			for b.Waiting() > patience {
				runtime.Gosched()
			}
		}
	}
}

func cpu() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	agentCount, _ := strconv.Atoi(os.Args[2])
	count, _ := strconv.Atoi(os.Args[3])
	reports := makeReports(os.Args[1], makeAgents(agentCount))
	run(reports, count)
	runtime.GC()
	if err := json.NewEncoder(os.Stdout).Encode(run(reports, count)); err != nil {
		panic(err)
	}
}

// run feeds a batcher of its own. What is counted is complete once that has closed; the time is that of the feeding.
func run(reports []report, count int) map[string]float64 {
	s := &sink{}
	b := newBatcher(s, s, defaultBatch, flushInterval)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpuBefore, began := cpu(), time.Now()
	feed(b, reports, count)
	elapsed, used := time.Since(began), cpu()-cpuBefore
	runtime.ReadMemStats(&after)
	b.Close()
	return map[string]float64{
		"millis":         elapsed.Seconds() * 1e3,
		"cpuMillis":      used.Seconds() * 1e3,
		"gcMillis":       float64(after.PauseTotalNs-before.PauseTotalNs) / 1e6,
		"allocatedBytes": float64(after.TotalAlloc - before.TotalAlloc),
		"dropped":        float64(b.metrics.dropped.Load()),
		"batches":        float64(s.batches),
		"rows":           float64(s.rows),
	}
}
