// The least that a server of the libraries of stock agents does with reports: it decodes each of them, and puts its
// entries into a map. It keeps the streams of coordination and of relays open, and takes any token.
//
// The messages are those that `npm run test:wire` generates.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coder/websocket"
	"github.com/hashicorp/yamux"
	"storj.io/drpc"
	"storj.io/drpc/drpcmanager"
	"storj.io/drpc/drpcmux"
	"storj.io/drpc/drpcserver"
	"storj.io/drpc/drpcwire"

	"metadata-batcher/test/wire/go/codec"
	agent "metadata-batcher/test/wire/go/pb/agent"
	tailnet "metadata-batcher/test/wire/go/pb/tailnet"
)

const maxMessage = 4 << 20

type protobuf = codec.Protobuf

type metadataKey struct {
	agent int64
	key   string
}

type sample struct {
	value, errorText string
	collectedAt      time.Time
}

// newest has the newest entry of each key.
type newest struct {
	mutex    sync.Mutex
	samples  map[metadataKey]sample
	accepted int64
}

func (n *newest) put(agentID int64, metadata []*agent.Metadata) {
	now := time.Now()
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, entry := range metadata {
		n.samples[metadataKey{agentID, entry.Key}] = sample{entry.Result.Value, entry.Result.Error, now}
	}
	n.accepted += int64(len(metadata))
}

// connection has the calls of one agent.
type connection struct {
	newest  *newest
	agentID int64
}

func (c *connection) BatchUpdateMetadata(_ context.Context, request *agent.BatchUpdateMetadataRequest) (*agent.BatchUpdateMetadataResponse, error) {
	c.newest.put(c.agentID, request.Metadata)
	return &agent.BatchUpdateMetadataResponse{}, nil
}

func (c *connection) StreamDERPMaps(_ *tailnet.StreamDERPMapsRequest, stream drpc.Stream) error {
	if err := stream.MsgSend(&tailnet.DERPMap{HomeParams: &tailnet.DERPMap_HomeParams{}}, protobuf{}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (c *connection) Coordinate(stream drpc.Stream) error {
	for {
		if err := stream.MsgRecv(&tailnet.CoordinateRequest{}, protobuf{}); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// description describes the calls as generated code does.
type description struct{}

func (description) NumMethods() int { return 3 }

func (description) Method(n int) (string, drpc.Encoding, drpc.Receiver, any, bool) {
	switch n {
	case 0:
		return "/coder.agent.v2.Agent/BatchUpdateMetadata", protobuf{},
			func(srv any, ctx context.Context, in1, _ any) (drpc.Message, error) {
				return srv.(*connection).BatchUpdateMetadata(ctx, in1.(*agent.BatchUpdateMetadataRequest))
			}, (*connection).BatchUpdateMetadata, true
	case 1:
		return "/coder.tailnet.v2.Tailnet/StreamDERPMaps", protobuf{},
			func(srv any, _ context.Context, in1, in2 any) (drpc.Message, error) {
				return nil, srv.(*connection).StreamDERPMaps(in1.(*tailnet.StreamDERPMapsRequest), in2.(drpc.Stream))
			}, (*connection).StreamDERPMaps, true
	case 2:
		return "/coder.tailnet.v2.Tailnet/Coordinate", protobuf{},
			func(srv any, _ context.Context, in1, _ any) (drpc.Message, error) {
				return nil, srv.(*connection).Coordinate(in1.(drpc.Stream))
			}, (*connection).Coordinate, true
	}
	return "", nil, nil, nil, false
}

// serve serves the calls of one agent, with the settings of the original.
func serve(ctx context.Context, socket *websocket.Conn, c *connection) error {
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	session, err := yamux.Server(websocket.NetConn(ctx, socket, websocket.MessageBinary), config)
	if err != nil {
		return err
	}
	defer session.Close()
	mux := drpcmux.New()
	if err := mux.Register(c, description{}); err != nil {
		return err
	}
	options := drpcmanager.Options{Reader: drpcwire.ReaderOptions{MaximumBufferSize: maxMessage}}
	return drpcserver.NewWithOptions(mux, drpcserver.Options{Manager: options}).Serve(ctx, session)
}

func cpuMillis() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e6
}

func residentBytes() int64 {
	status, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(status) + " 0 0")
	pages, _ := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize())
}

func respond(writer http.ResponseWriter, figures map[string]any) {
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(figures)
}

func main() {
	entries := &newest{samples: make(map[metadataKey]sample)}
	var connections int64
	var mutex sync.Mutex
	routes := http.NewServeMux()
	routes.HandleFunc("/api/v2/workspaceagents/me/rpc", func(writer http.ResponseWriter, request *http.Request) {
		socket, err := websocket.Accept(writer, request, nil)
		if err != nil {
			return
		}
		mutex.Lock()
		connections++
		c := &connection{entries, connections}
		mutex.Unlock()
		_ = serve(request.Context(), socket, c)
		_ = socket.Close(websocket.StatusNormalClosure, "")
	})
	routes.HandleFunc("/usage", func(writer http.ResponseWriter, _ *http.Request) {
		entries.mutex.Lock()
		accepted := entries.accepted
		entries.mutex.Unlock()
		respond(writer, map[string]any{"cpuMillis": cpuMillis(), "accepted": accepted, "dropped": 0})
	})
	routes.HandleFunc("/memory", func(writer http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		respond(writer, map[string]any{"residentBytes": residentBytes(), "heapBytes": stats.HeapAlloc + stats.StackInuse})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { panic(http.Serve(listener, routes)) }()
	fmt.Printf("http://%s\n", listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin)
}
