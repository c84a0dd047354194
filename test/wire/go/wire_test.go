// Package wire drives a running service with the libraries that stock agents are made of.
//
// CODER_AGENT_URL is the address of the service, CODER_AGENT_TOKEN the token of an agent that exists there.
package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"storj.io/drpc"
	"storj.io/drpc/drpcconn"
	"storj.io/drpc/drpcerr"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcmetadata"
	"storj.io/drpc/drpcwire"

	"metadata-batcher/test/wire/go/codec"
	agent "metadata-batcher/test/wire/go/pb/agent"
	tailnet "metadata-batcher/test/wire/go/pb/tailnet"
)

const (
	agentService   = "/coder.agent.v2.Agent/"
	tailnetService = "/coder.tailnet.v2.Tailnet/"
	maxMessage     = 4 << 20
)

type protobuf = codec.Protobuf

// session is a connection of an agent: yamux over the binary messages of a WebSocket.
type session struct {
	*yamux.Session
	socket *websocket.Conn
}

func dial(t *testing.T, query string, header http.Header) (*session, *http.Response, error) {
	t.Helper()
	return dialAt(t, os.Getenv("CODER_AGENT_URL")+"/api/v2/workspaceagents/me/rpc"+query, header)
}

func dialAt(t *testing.T, url string, header http.Header) (*session, *http.Response, error) {
	t.Helper()
	socket, response, err := websocket.Dial(t.Context(), strings.Replace(url, "http", "ws", 1), &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, response, err
	}
	connection := websocket.NetConn(context.Background(), socket, websocket.MessageBinary)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	mux, err := yamux.Client(connection, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mux.Close() })
	return &session{mux, socket}, response, nil
}

func connect(t *testing.T) *session {
	t.Helper()
	header := http.Header{"Coder-Session-Token": {os.Getenv("CODER_AGENT_TOKEN")}}
	session, _, err := dial(t, "?role=agent&version=2.10", header)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// transport opens a stream for one call or several.
func (s *session) transport() (*drpcconn.Conn, error) {
	stream, err := s.Open()
	if err != nil {
		return nil, err
	}
	return drpcconn.NewWithOptions(stream, drpcconn.Options{
		Manager: drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: maxMessage}},
	}), nil
}

// open begins a call that streams, over a transport that the caller closes.
func (s *session) open(ctx context.Context, name string) (*drpcconn.Conn, drpc.Stream, error) {
	conn, err := s.transport()
	if err != nil {
		return nil, nil, err
	}
	stream, err := conn.NewStream(ctx, name, protobuf{})
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, stream, nil
}

func (s *session) invoke(ctx context.Context, name string, request, response proto.Message) error {
	conn, err := s.transport()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return conn.Invoke(ctx, name, protobuf{}, request, response)
}

func (s *session) call(t *testing.T, method string, request, response proto.Message) {
	t.Helper()
	if err := s.invoke(t.Context(), agentService+method, request, response); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

func bytes16(value byte) []byte { return []byte(strings.Repeat(string(rune(value)), 16)) }

func uuid(id []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

func now() *timestamppb.Timestamp { return timestamppb.Now() }

// An agent's first seconds, in the order of a stock agent.
func TestStart(t *testing.T) {
	s := connect(t)
	manifest := &agent.Manifest{}
	s.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
	s.call(t, "GetManifest", &agent.GetManifestRequest{}, manifest)
	if len(manifest.AgentId) != 16 || len(manifest.WorkspaceId) != 16 {
		t.Fatalf("ids of %d and %d bytes", len(manifest.AgentId), len(manifest.WorkspaceId))
	}
	if manifest.DerpMap != nil && manifest.DerpMap.HomeParams == nil {
		t.Fatal("a map without home parameters")
	}
	if interval := manifest.Metadata[0].Interval.AsDuration(); interval != 10 {
		t.Fatalf("an interval of %d nanoseconds for 10 seconds", interval)
	}
	startup := &agent.Startup{Version: "v2.35.1+abcdef", ExpandedDirectory: "/home/a", Subsystems: []agent.Startup_Subsystem{agent.Startup_ENVBUILDER}}
	s.call(t, "UpdateStartup", &agent.UpdateStartupRequest{Startup: startup}, &agent.Startup{})
	for _, state := range []agent.Lifecycle_State{agent.Lifecycle_STARTING, agent.Lifecycle_READY} {
		lifecycle := &agent.Lifecycle{State: state, ChangedAt: now()}
		answer := &agent.Lifecycle{}
		s.call(t, "UpdateLifecycle", &agent.UpdateLifecycleRequest{Lifecycle: lifecycle}, answer)
		if answer.State != state {
			t.Fatalf("%v instead of %v", answer.State, state)
		}
	}
	stats := &agent.UpdateStatsResponse{}
	s.call(t, "UpdateStats", &agent.UpdateStatsRequest{}, stats)
	if stats.ReportInterval.AsDuration() <= 0 {
		t.Fatal("no interval of reports")
	}
	monitoring := &agent.GetResourcesMonitoringConfigurationResponse{}
	s.call(t, "GetResourcesMonitoringConfiguration", &agent.GetResourcesMonitoringConfigurationRequest{}, monitoring)
	if monitoring.Config.GetNumDatapoints() < 1 || monitoring.Config.GetCollectionIntervalSeconds() < 1 {
		t.Fatalf("a configuration of %v", monitoring.Config)
	}
}

// Every call that needs nothing but the agent; those that fail do so with an error of the service.
func TestEveryCall(t *testing.T) {
	s := connect(t)
	result := &agent.WorkspaceAgentMetadata_Result{CollectedAt: now(), Age: 1, Value: "from go"}
	report := &agent.BatchUpdateMetadataRequest{Metadata: []*agent.Metadata{{Key: "cpu", Result: result}}}
	s.call(t, "GetServiceBanner", &agent.GetServiceBannerRequest{}, &agent.ServiceBanner{})
	s.call(t, "BatchUpdateMetadata", report, &agent.BatchUpdateMetadataResponse{})
	s.call(t, "BatchUpdateAppHealths", &agent.BatchUpdateAppHealthRequest{}, &agent.BatchUpdateAppHealthResponse{})
	logs := &agent.BatchCreateLogsRequest{LogSourceId: make([]byte, 16), Logs: []*agent.Log{{CreatedAt: now(), Output: "hello", Level: agent.Log_INFO}}}
	s.call(t, "BatchCreateLogs", logs, &agent.BatchCreateLogsResponse{})
	connection := &agent.Connection{Id: bytes16(6), Action: agent.Connection_CONNECT, Type: agent.Connection_SSH, Timestamp: now(), Ip: "127.0.0.1"}
	s.call(t, "ReportConnection", &agent.ReportConnectionRequest{Connection: connection}, &emptypb.Empty{})
	counters := &agent.Stats{ConnectionCount: 1, ConnectionsByProto: map[string]int64{"TCP": 1}, RxBytes: 1 << 62, ConnectionMedianLatencyMs: -0.001}
	s.call(t, "UpdateStats", &agent.UpdateStatsRequest{Stats: counters}, &agent.UpdateStatsResponse{})
	s.call(t, "PushResourcesMonitoringUsage", &agent.PushResourcesMonitoringUsageRequest{}, &agent.PushResourcesMonitoringUsageResponse{})
	boundary := &agent.BoundaryLog{Allowed: true, Time: now(), Resource: &agent.BoundaryLog_HttpRequest_{HttpRequest: &agent.BoundaryLog_HttpRequest{Method: "GET", Url: "https://example.com/"}}}
	s.call(t, "ReportBoundaryLogs", &agent.ReportBoundaryLogsRequest{Logs: []*agent.BoundaryLog{boundary}}, &agent.ReportBoundaryLogsResponse{})
	s.call(t, "PushContextState", &agent.PushContextStateRequest{}, &agent.PushContextStateResponse{})

	created := &agent.CreateSubAgentResponse{}
	name := fmt.Sprintf("sub-%d", time.Now().UnixNano())
	s.call(t, "CreateSubAgent", &agent.CreateSubAgentRequest{Name: name, Directory: "/work", Architecture: "amd64", OperatingSystem: "linux"}, created)
	if len(created.Agent.Id) != 16 || len(created.Agent.AuthToken) != 16 {
		t.Fatalf("a sub-agent with an id of %d bytes and a token of %d", len(created.Agent.Id), len(created.Agent.AuthToken))
	}
	child, _, err := dial(t, "?version=2.10&role=agent", http.Header{"Coder-Session-Token": {uuid(created.Agent.AuthToken)}})
	if err != nil {
		t.Fatalf("a sub-agent cannot connect: %v", err)
	}
	manifest := &agent.Manifest{}
	child.call(t, "GetManifest", &agent.GetManifestRequest{}, manifest)
	if len(manifest.ParentId) != 16 {
		t.Fatal("a sub-agent without a parent")
	}
	list := &agent.ListSubAgentsResponse{}
	s.call(t, "ListSubAgents", &agent.ListSubAgentsRequest{}, list)
	s.call(t, "DeleteSubAgent", &agent.DeleteSubAgentRequest{Id: created.Agent.Id}, &agent.DeleteSubAgentResponse{})

	for method, request := range map[string]proto.Message{
		"ScriptCompleted": &agent.WorkspaceAgentScriptCompletedRequest{Timing: &agent.Timing{ScriptId: bytes16(7), Start: now(), End: now()}},
		"UpdateAppStatus": &agent.UpdateAppStatusRequest{Slug: "none"},
		"UpdateStartup":   &agent.UpdateStartupRequest{Startup: &agent.Startup{Version: "x"}},
		"DeleteSubAgent":  &agent.DeleteSubAgentRequest{Id: bytes16(9)},
	} {
		err := s.invoke(t.Context(), agentService+method, request, &emptypb.Empty{})
		if err == nil || err.Error() == "" || drpcerr.Code(err) != 0 {
			t.Errorf("%s: %v", method, err)
		}
	}
}

// The calls of the file CALLS, one after the other: the name of a method, and its request in JSON.
func TestCalls(t *testing.T) {
	path := os.Getenv("CALLS")
	if path == "" {
		t.Skip("no calls are given")
	}
	var calls []struct {
		Method   string
		Request  json.RawMessage
		Response json.RawMessage
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &calls); err != nil {
		t.Fatal(err)
	}
	s := connect(t)
	methods := agent.File_agent_proto.Services().ByName("Agent").Methods()
	for _, call := range calls {
		method := methods.ByName(protoreflect.Name(call.Method))
		request := message(t, method.Input())
		if err := protojson.Unmarshal(call.Request, request); err != nil {
			t.Fatal(err)
		}
		response := message(t, method.Output())
		s.call(t, call.Method, request, response)
		if call.Response == nil {
			continue
		}
		expected := message(t, method.Output())
		if err := protojson.Unmarshal(call.Response, expected); err != nil {
			t.Fatal(err)
		}
		response.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
			if !expected.ProtoReflect().Has(field) {
				response.ProtoReflect().Clear(field)
			}
			return true
		})
		if !proto.Equal(response, expected) {
			t.Errorf("%s: the fields of %v are %v", call.Method, expected, response)
		}
	}
}

func message(t *testing.T, descriptor protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	messageType, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return messageType.New().Interface()
}

func TestUnimplemented(t *testing.T) {
	s := connect(t)
	for _, name := range []string{agentService + "Nope", "nothing at all"} {
		err := s.invoke(t.Context(), name, &emptypb.Empty{}, &emptypb.Empty{})
		if drpcerr.Code(err) != 12 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStreams(t *testing.T) {
	s := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	derp, maps, err := s.open(ctx, tailnetService+"StreamDERPMaps")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(maps.MsgSend(&tailnet.StreamDERPMapsRequest{}, protobuf{}), maps.CloseSend()); err != nil {
		t.Fatal(err)
	}
	received := &tailnet.DERPMap{}
	if err := maps.MsgRecv(received, protobuf{}); err != nil || received.HomeParams == nil {
		t.Fatalf("no map: %v %v", received, err)
	}

	_, coordination, err := s.open(t.Context(), tailnetService+"Coordinate")
	if err != nil {
		t.Fatal(err)
	}
	node := &tailnet.Node{Id: 1, AsOf: now(), Key: append([]byte("np"), make([]byte, 32)...), Disco: "discokey:" + strings.Repeat("9", 64)}
	update := &tailnet.CoordinateRequest{UpdateSelf: &tailnet.CoordinateRequest_UpdateSelf{Node: node}}
	if err := coordination.MsgSend(update, protobuf{}); err != nil {
		t.Fatal(err)
	}
	s.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
	disconnect := &tailnet.CoordinateRequest{Disconnect: &tailnet.CoordinateRequest_Disconnect{}}
	if err := coordination.MsgSend(disconnect, protobuf{}); err != nil {
		t.Fatal(err)
	}
	if err := coordination.MsgRecv(&tailnet.CoordinateResponse{}, protobuf{}); !errors.Is(err, io.EOF) {
		t.Fatalf("%v instead of the end of the stream", err)
	}

	cancel()
	if err := maps.MsgRecv(&tailnet.DERPMap{}, protobuf{}); err == nil {
		t.Fatal("a map after the cancellation")
	}
	_ = derp.Close()
	s.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
}

// A message of 4 MiB passes, and one more byte ends its own stream alone.
func TestLimits(t *testing.T) {
	s := connect(t)
	for _, size := range []int{200_000, maxMessage - 10, maxMessage + 1} {
		request := &agent.GetAnnouncementBannersRequest{}
		// an unknown field of the message takes all of it
		field := []byte{0xa2, 0x06, byte((size-6)&127 | 128), byte((size-6)>>7&127 | 128), byte((size-6)>>14&127 | 128), byte((size - 6) >> 21)}
		request.ProtoReflect().SetUnknown(append(field, make([]byte, size-6)...))
		err := s.invoke(t.Context(), agentService+"GetAnnouncementBanners", request, &agent.GetAnnouncementBannersResponse{})
		if (err == nil) != (size <= maxMessage) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	s.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
}

func TestThousandStreams(t *testing.T) {
	s := connect(t)
	var group sync.WaitGroup
	failures := make(chan error, 1_000)
	for range 1_000 {
		group.Go(func() {
			conn, stream, err := s.open(t.Context(), tailnetService+"StreamDERPMaps")
			if err != nil {
				failures <- err
				return
			}
			defer func() { _ = conn.Close() }()
			if err := errors.Join(stream.MsgSend(&tailnet.StreamDERPMapsRequest{}, protobuf{}), stream.CloseSend(), stream.MsgRecv(&tailnet.DERPMap{}, protobuf{}), stream.Close()); err != nil {
				failures <- err
			}
		})
	}
	group.Wait()
	close(failures)
	for err := range failures {
		t.Fatalf("%d failures, the first: %v", len(failures)+1, err)
	}
	for attempt := 0; s.NumStreams() > 0; attempt++ {
		if attempt > 500 {
			t.Fatalf("%d streams are left", s.NumStreams())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestCallsOnOneTransport(t *testing.T) {
	s := connect(t)
	conn, err := s.transport()
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for range 20 {
				ctx := drpcmetadata.Add(t.Context(), "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
				if err := conn.Invoke(ctx, agentService+"GetAnnouncementBanners", protobuf{}, &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// A stream that nobody reads holds up no other, and a client that sends bytes without reading is read no faster.
func TestSlowReader(t *testing.T) {
	s := connect(t)
	stream, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	name := tailnetService + "Coordinate"
	invoke := append([]byte{3, 1, 1, byte(len(name))}, name...)
	if _, err := stream.Write(append(invoke, 5, 1, 2, 0)); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		s.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
	}
	_ = stream.Close()
}

func TestPings(t *testing.T) {
	s := connect(t)
	for range 10 {
		if _, err := s.Ping(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHostileBytesEndTheirSessionAlone(t *testing.T) {
	other := connect(t)
	s := connect(t)
	if err := s.socket.Write(t.Context(), websocket.MessageBinary, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.CloseChan():
	case <-time.After(10 * time.Second):
		t.Fatal("the session goes on")
	}
	other.call(t, "GetAnnouncementBanners", &agent.GetAnnouncementBannersRequest{}, &agent.GetAnnouncementBannersResponse{})
}

// Tokens in each of their places, and refusals as a stock client reads them.
func TestTokens(t *testing.T) {
	token := os.Getenv("CODER_AGENT_TOKEN")
	for place, header := range map[string]http.Header{
		"cookie": {"Cookie": {"coder_session_token=" + token}},
		"header": {"Coder-Session-Token": {token}},
		"bearer": {"Authorization": {"bearer " + token}},
	} {
		if _, _, err := dial(t, "", header); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	for _, parameter := range []string{"coder_session_token", "access_token"} {
		if _, _, err := dial(t, "?"+parameter+"="+token, nil); err != nil {
			t.Errorf("%s: %v", parameter, err)
		}
	}
	for query, status := range map[string]int{"?version=3.0": 400, "?version=x": 400} {
		_, response, err := dial(t, query, http.Header{"Coder-Session-Token": {token}})
		if err == nil || response.StatusCode != status {
			t.Errorf("%s: %v", query, err)
		}
		body, _ := io.ReadAll(response.Body)
		if !strings.Contains(string(body), `"message":"Unknown or unsupported API version"`) {
			t.Errorf("%s: %s", query, body)
		}
	}
	_, response, err := dial(t, "", http.Header{"Coder-Session-Token": {"00000000-0000-4000-8000-000000000000"}})
	if err == nil || response.StatusCode != 401 {
		t.Errorf("a wrong token: %v", err)
	}
}
