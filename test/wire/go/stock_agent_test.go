package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storj.io/drpc"
	"storj.io/drpc/drpcerr"

	agent "metadata-batcher/test/wire/go/pb/agent"
	tailnet "metadata-batcher/test/wire/go/pb/tailnet"
)

// stockAgent does over a connection what a stock agent does: its routines begin together, and the first one that fails
// ends the connection. It connects again with the pauses of a stock agent, for ever.
type stockAgent struct {
	t *testing.T
	// nth is the number of the connection.
	nth atomic.Int64
	// starting happens once, over the first connection.
	starting sync.Once
	// changes are the states that the agent has had, of which the first `sent` were reported.
	mutex   sync.Mutex
	changes []*agent.Lifecycle
	sent    int
	changed chan struct{}
	// reported is the number of the last connection over which the service has accepted metadata.
	reported atomic.Int64
	// ending is closed when the agent shuts down.
	ending chan struct{}
	// coordinated is closed when the service has ended the stream of Coordinate in answer to a disconnect.
	coordinated chan struct{}
}

func (a *stockAgent) become(state agent.Lifecycle_State) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.changes = append(a.changes, &agent.Lifecycle{State: state, ChangedAt: now()})
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// next returns the first state that was not reported.
func (a *stockAgent) next() *agent.Lifecycle {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.sent == len(a.changes) {
		return nil
	}
	return a.changes[a.sent]
}

func (a *stockAgent) reportStates(ctx context.Context, s *session) error {
	for {
		for change := a.next(); change != nil; change = a.next() {
			if err := s.invoke(ctx, agentService+"UpdateLifecycle", &agent.UpdateLifecycleRequest{Lifecycle: change}, &agent.Lifecycle{}); err != nil {
				return err
			}
			a.mutex.Lock()
			a.sent++
			a.mutex.Unlock()
		}
		select {
		case <-a.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// every calls at once and then again and again.
func every(ctx context.Context, interval time.Duration, call func() error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := call(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (a *stockAgent) reportMetadata(ctx context.Context, s *session, manifest *agent.Manifest) error {
	collected := map[string]time.Time{}
	return every(ctx, time.Second, func() error {
		report := &agent.BatchUpdateMetadataRequest{}
		for _, description := range manifest.Metadata {
			// the seconds travel as nanoseconds
			interval := time.Duration(description.Interval.AsDuration()) * time.Second
			if at, known := collected[description.Key]; known && (interval == 0 || time.Since(at) < interval) {
				continue
			}
			collected[description.Key] = time.Now()
			result := &agent.WorkspaceAgentMetadata_Result{CollectedAt: now(), Value: fmt.Sprintf("connection %d", a.nth.Load())}
			report.Metadata = append(report.Metadata, &agent.Metadata{Key: description.Key, Result: result})
		}
		if len(report.Metadata) == 0 {
			return nil
		}
		err := s.invoke(ctx, agentService+"BatchUpdateMetadata", report, &agent.BatchUpdateMetadataResponse{})
		if err == nil {
			a.reported.Store(a.nth.Load())
		}
		return err
	})
}

func (a *stockAgent) reportStats(ctx context.Context, s *session) error {
	response := &agent.UpdateStatsResponse{}
	if err := s.invoke(ctx, agentService+"UpdateStats", &agent.UpdateStatsRequest{}, response); err != nil {
		return err
	}
	interval := response.ReportInterval.AsDuration()
	if interval <= 0 {
		return errors.New("no interval of reports")
	}
	return every(ctx, interval, func() error {
		stats := &agent.Stats{ConnectionsByProto: map[string]int64{}, ConnectionMedianLatencyMs: -0.001}
		return s.invoke(ctx, agentService+"UpdateStats", &agent.UpdateStatsRequest{Stats: stats}, response)
	})
}

// coordinate ends with an error, whatever ends its stream: a stock agent connects again then.
func (a *stockAgent) coordinate(ctx context.Context, s *session) error {
	conn, stream, err := s.open(ctx, tailnetService+"Coordinate")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	node := &tailnet.Node{Id: 1, AsOf: now(), Key: append([]byte("np"), make([]byte, 32)...), Disco: "discokey:" + fmt.Sprintf("%064d", 9), PreferredDerp: 999}
	update := &tailnet.CoordinateRequest{UpdateSelf: &tailnet.CoordinateRequest_UpdateSelf{Node: node}}
	if err := stream.MsgSend(update, protobuf{}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- drain(stream) }()
	select {
	case err := <-ended:
		return fmt.Errorf("the stream of Coordinate ended: %w", err)
	case <-a.ending:
	}
	disconnect := &tailnet.CoordinateRequest{Disconnect: &tailnet.CoordinateRequest_Disconnect{}}
	if err := stream.MsgSend(disconnect, protobuf{}); err != nil {
		return err
	}
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	close(a.coordinated)
	<-ctx.Done()
	return ctx.Err()
}

func drain(stream drpc.Stream) error {
	for {
		if err := stream.MsgRecv(&tailnet.CoordinateResponse{}, protobuf{}); err != nil {
			return err
		}
	}
}

func (a *stockAgent) followRelays(ctx context.Context, s *session) error {
	conn, stream, err := s.open(ctx, tailnetService+"StreamDERPMaps")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := errors.Join(stream.MsgSend(&tailnet.StreamDERPMapsRequest{}, protobuf{}), stream.CloseSend()); err != nil {
		return err
	}
	for {
		relays := &tailnet.DERPMap{}
		if err := stream.MsgRecv(relays, protobuf{}); err != nil {
			return err
		}
		if relays.HomeParams == nil {
			a.t.Error("a map without home parameters: a stock agent would panic")
		}
	}
}

// pushContext goes on after every error, and stops at the code of calls that are not implemented.
func (a *stockAgent) pushContext(ctx context.Context, s *session) error {
	request := &agent.PushContextStateRequest{Version: uint64(a.nth.Load()), Initial: true}
	err := s.invoke(ctx, agentService+"PushContextState", request, &agent.PushContextStateResponse{})
	if err != nil && drpcerr.Code(err) != 12 && ctx.Err() == nil {
		a.t.Errorf("PushContextState: %v", err)
	}
	<-ctx.Done()
	return ctx.Err()
}

// run makes one connection, and returns the error of the routine that failed first.
func (a *stockAgent) run(ctx context.Context) error {
	header := http.Header{"Coder-Session-Token": {os.Getenv("CODER_AGENT_TOKEN")}}
	s, _, err := dial(a.t, "?role=agent&version=2.10", header)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	a.nth.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	defer group.Wait()
	routine := func(run func(context.Context, *session) error) {
		group.Go(func() {
			if err := run(ctx, s); err != nil {
				cancel(err)
			}
		})
	}

	routine(func(ctx context.Context, s *session) error {
		return every(ctx, 2*time.Minute, func() error {
			return s.invoke(ctx, agentService+"GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
		})
	})
	routine(func(ctx context.Context, s *session) error {
		response := &agent.GetResourcesMonitoringConfigurationResponse{}
		if err := s.invoke(ctx, agentService+"GetResourcesMonitoringConfiguration", &agent.GetResourcesMonitoringConfigurationRequest{}, response); err != nil {
			return err
		}
		if response.Config.GetNumDatapoints() < 1 || response.Config.GetCollectionIntervalSeconds() < 1 {
			a.t.Error("no configuration of monitors: a stock agent would panic")
		}
		return nil
	})
	routine(a.reportStates)
	routine(func(ctx context.Context, s *session) error {
		manifest := &agent.Manifest{}
		if err := s.invoke(ctx, agentService+"GetManifest", &agent.GetManifestRequest{}, manifest); err != nil {
			return err
		}
		startup := &agent.Startup{Version: "v2.35.1", ExpandedDirectory: "/home/a"}
		if err := s.invoke(ctx, agentService+"UpdateStartup", &agent.UpdateStartupRequest{Startup: startup}, &agent.Startup{}); err != nil {
			return err
		}
		a.starting.Do(func() {
			a.become(agent.Lifecycle_STARTING)
			a.become(agent.Lifecycle_READY)
		})
		routine(func(ctx context.Context, s *session) error { return a.reportMetadata(ctx, s, manifest) })
		routine(a.reportStats)
		routine(a.coordinate)
		routine(a.followRelays)
		routine(a.pushContext)
		lines := &agent.BatchCreateLogsRequest{LogSourceId: make([]byte, 16), Logs: []*agent.Log{
			{CreatedAt: now(), Output: fmt.Sprintf("connection %d", a.nth.Load()), Level: agent.Log_INFO},
		}}
		if err := s.invoke(ctx, agentService+"BatchCreateLogs", lines, &agent.BatchCreateLogsResponse{}); err != nil {
			return err
		}
		return s.invoke(ctx, agentService+"ListSubAgents", &agent.ListSubAgentsRequest{}, &agent.ListSubAgentsResponse{})
	})

	<-ctx.Done()
	return context.Cause(ctx)
}

// shutDown ends the agent over its last connection, in the order of a stock agent.
func (a *stockAgent) shutDown() {
	a.become(agent.Lifecycle_SHUTTING_DOWN)
	close(a.ending)
	select {
	case <-a.coordinated:
	case <-time.After(patience):
		a.t.Error("the service does not end the stream of Coordinate")
	}
	a.become(agent.Lifecycle_OFF)
	for attempt := 0; a.next() != nil; attempt++ {
		if attempt > 500 {
			a.t.Error("the end was not reported")
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// reinit asks whether the agent is to start anew: 409 says never.
func reinit(t *testing.T) {
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, os.Getenv("CODER_AGENT_URL")+"/api/v2/workspaceagents/me/reinit?wait=true", nil)
	request.Header.Set("Coder-Session-Token", os.Getenv("CODER_AGENT_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Errorf("reinit: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusConflict {
		t.Errorf("reinit: %s", response.Status)
	}
}

// TestStockAgent plays a stock agent that ends once it has reported over as many connections as CONNECTIONS says.
func TestStockAgent(t *testing.T) {
	connections, err := strconv.ParseInt(os.Getenv("CONNECTIONS"), 10, 64)
	if err != nil {
		t.Skip("needs CONNECTIONS")
	}
	a := &stockAgent{t: t, changed: make(chan struct{}, 1), ending: make(chan struct{}), coordinated: make(chan struct{})}
	reinit(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// the pauses grow by the golden ratio, and a connection that works does not shorten them
		for pause := 100 * time.Millisecond; ctx.Err() == nil; {
			err := a.run(ctx)
			if ctx.Err() != nil {
				return
			}
			t.Logf("connection %d: %v", a.nth.Load(), err)
			pause = min(pause*1618/1000, 10*time.Second)
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
		}
	}()
	for deadline := time.After(time.Minute); a.reported.Load() < connections; {
		select {
		case <-deadline:
			t.Fatalf("connection %d has not reported", a.nth.Load())
		case <-time.After(10 * time.Millisecond):
		}
	}
	a.shutDown()
	cancel()
	<-ended
}
