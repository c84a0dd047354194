package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"storj.io/drpc"

	agent "metadata-batcher/test/wire/go/pb/agent"
	tailnet "metadata-batcher/test/wire/go/pb/tailnet"
)

// patience is how long a peer waits for an update that is due at once.
const patience = 10 * time.Second

// peer is a program with a stream of Coordinate.
type peer struct {
	t       *testing.T
	session *session
	stream  drpc.Stream
	lines   chan string
	// names are the peers that this one knows by name; every other id is the client's.
	names map[string]string
	// seen is the id of the last peer without a name.
	seen []byte
	node *tailnet.Node
}

// world is two agents of one user, and the replicas at which agents and clients connect.
type world struct {
	agentsAt, clientsAt string
	tokens              [2]string
}

// twoAgents gives each test agents of its own, because the end of a peer is written after its stream has ended.
func twoAgents(t *testing.T, number int, agentsAt, clientsAt string) world {
	t.Helper()
	if os.Getenv("USER_TOKEN") == "" {
		t.Skip("needs USER_TOKEN")
	}
	tokens := strings.Split(os.Getenv("AGENT_TOKENS"), ",")
	return world{
		agentsAt: os.Getenv(agentsAt), clientsAt: os.Getenv(clientsAt),
		tokens: [2]string(tokens[2*number : 2*number+2]),
	}
}

// coordinate opens the stream of a peer.
func coordinate(t *testing.T, s *session) *peer {
	t.Helper()
	_, stream, err := s.open(context.Background(), tailnetService+"Coordinate")
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, session: s, stream: stream, lines: make(chan string, 1_000), names: map[string]string{}}
	go p.receive()
	return p
}

// receive turns each update into a line, and the end of the stream into the last one.
func (p *peer) receive() {
	defer close(p.lines)
	for {
		response := &tailnet.CoordinateResponse{}
		if err := p.stream.MsgRecv(response, protobuf{}); err != nil {
			if errors.Is(err, io.EOF) {
				p.lines <- "the end"
			} else {
				p.lines <- "a failure"
			}
			return
		}
		if response.Error != "" {
			p.lines <- "error: " + response.Error
		}
		for _, update := range response.PeerUpdates {
			name, known := p.names[string(update.Id)]
			if !known {
				name, p.seen = "client", update.Id
			}
			words := []string{update.Kind.String(), name}
			if (update.Kind == tailnet.CoordinateResponse_PeerUpdate_NODE) != (update.Node != nil) {
				words = append(words, "with a node that should not be there, or without one")
			}
			if update.Node != nil {
				words = append(words, strconv.Itoa(int(update.Node.PreferredDerp)))
			}
			if update.Reason != "" {
				words = append(words, "("+update.Reason+")")
			}
			p.lines <- strings.Join(words, " ")
		}
	}
}

// expect waits for the next update, and fails if it is another one.
func (p *peer) expect(line string) {
	p.t.Helper()
	if got := p.next(); got != line {
		p.t.Fatalf("%q instead of %q", got, line)
	}
}

// expectBoth waits for two updates that may come in either order.
func (p *peer) expectBoth(one, other string) {
	p.t.Helper()
	got := []string{p.next(), p.next()}
	if slices.Sort(got); !slices.Equal(got, []string{one, other}) {
		p.t.Fatalf("%q instead of %q and %q", got, one, other)
	}
}

func (p *peer) next() string {
	p.t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(patience):
		p.t.Fatalf("no update within %v", patience)
		return ""
	}
}

func (p *peer) send(request *tailnet.CoordinateRequest) {
	p.t.Helper()
	if err := p.stream.MsgSend(request, protobuf{}); err != nil {
		p.t.Fatal(err)
	}
}

// update sends a node that differs from others in its preferred relay.
func (p *peer) update(preferredDerp int32) {
	p.t.Helper()
	node := proto.Clone(p.node).(*tailnet.Node)
	node.PreferredDerp, node.AsOf = preferredDerp, now()
	p.send(&tailnet.CoordinateRequest{UpdateSelf: &tailnet.CoordinateRequest_UpdateSelf{Node: node}})
}

func (p *peer) addTunnel(id []byte) {
	p.t.Helper()
	p.send(&tailnet.CoordinateRequest{AddTunnel: &tailnet.CoordinateRequest_Tunnel{Id: id}})
}

func (p *peer) removeTunnel(id []byte) {
	p.t.Helper()
	p.send(&tailnet.CoordinateRequest{RemoveTunnel: &tailnet.CoordinateRequest_Tunnel{Id: id}})
}

func (p *peer) ready(id []byte) {
	p.t.Helper()
	p.send(&tailnet.CoordinateRequest{ReadyForHandshake: []*tailnet.CoordinateRequest_ReadyForHandshake{{Id: id}}})
}

func (p *peer) disconnect() {
	p.t.Helper()
	p.send(&tailnet.CoordinateRequest{Disconnect: &tailnet.CoordinateRequest_Disconnect{}})
}

func nodeOf(address netip.Addr) *tailnet.Node {
	prefix := netip.PrefixFrom(address, 128).String()
	return &tailnet.Node{
		Id: 1, Key: append([]byte("np"), make([]byte, 32)...), Disco: "discokey:" + strings.Repeat("9", 64),
		DerpLatency: map[string]float64{"999-v4": 0.01, "998-v4": 0.02}, Addresses: []string{prefix}, AllowedIps: []string{prefix},
		Endpoints: []string{"192.0.2.1:41641"},
	}
}

// agent connects an agent, whose node has the address that follows from its id.
func (w world) agent(t *testing.T, number int, at string) (*peer, []byte) {
	t.Helper()
	header := http.Header{"Coder-Session-Token": {w.tokens[number]}}
	s, _, err := dialAt(t, at+"/api/v2/workspaceagents/me/rpc?role=agent&version=2.10", header)
	if err != nil {
		t.Fatal(err)
	}
	manifest := &agent.Manifest{}
	s.call(t, "GetManifest", &agent.GetManifestRequest{}, manifest)
	p := coordinate(t, s)
	var address [16]byte
	copy(address[:], append([]byte{0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0}, manifest.AgentId[6:]...))
	p.node = nodeOf(netip.AddrFrom16(address))
	return p, manifest.AgentId
}

func (w world) client(t *testing.T, names map[string]string) *peer {
	t.Helper()
	header := http.Header{"Coder-Session-Token": {os.Getenv("USER_TOKEN")}}
	s, _, err := dialAt(t, w.clientsAt+"/api/v2/tailnet?version=2.0", header)
	if err != nil {
		t.Fatal(err)
	}
	p := coordinate(t, s)
	p.names = names
	p.node = nodeOf(netip.MustParseAddr("fd7a:115c:a1e0::2"))
	return p
}

// Two agents and a client, through tunnels from the client to both.
func testPeers(t *testing.T, w world) {
	one, oneID := w.agent(t, 0, w.agentsAt)
	two, twoID := w.agent(t, 1, w.agentsAt)
	names := map[string]string{string(oneID): "one", string(twoID): "two"}
	client := w.client(t, names)
	one.update(11)
	two.update(21)
	client.update(31)

	client.addTunnel(oneID)
	client.expect("NODE one 11 (new)")
	one.expect("NODE client 31 (new)")
	client.addTunnel(twoID)
	client.expect("NODE two 21 (new)")
	two.expect("NODE client 31 (new)")

	one.ready(one.seen)
	client.expect("READY_FOR_HANDSHAKE one")
	one.ready(twoID)
	one.expect(fmt.Sprintf("error: ready for handshake error: you do not share a tunnel with %q", uuid(twoID)))

	one.update(12)
	client.expect("NODE one 12 (update)")
	// a node that differs in its time alone is told nobody, so that the next one is the next update
	one.update(12)
	one.update(13)
	client.expect("NODE one 13 (update)")
	client.update(32)
	one.expect("NODE client 32 (update)")
	two.expect("NODE client 32 (update)")

	client.removeTunnel(twoID)
	client.expect("DISCONNECTED two (disconnected)")
	two.expect("DISCONNECTED client (disconnected)")
	client.addTunnel(twoID)
	client.expect("NODE two 21 (new)")
	two.expect("NODE client 32 (new)")

	_ = one.session.Close()
	client.expect("LOST one (lost)")
	one, _ = w.agent(t, 0, w.agentsAt)
	one.expect("NODE client 32 (new)")
	one.update(14)
	client.expect("NODE one 14 (found)")

	two.disconnect()
	two.expect("the end")
	client.expect("DISCONNECTED two (disconnected)")
	client.disconnect()
	client.expect("the end")
	one.expect("DISCONNECTED client (disconnected)")
	one.disconnect()
	one.expect("the end")
}

func TestPeersOnOneReplica(t *testing.T) {
	testPeers(t, twoAgents(t, 0, "CODER_AGENT_URL", "CODER_AGENT_URL"))
}

func TestPeersOnTwoReplicas(t *testing.T) {
	testPeers(t, twoAgents(t, 1, "OTHER_SERVICE_URL", "CODER_AGENT_URL"))
}

// After the death of their replica one agent comes back to another replica at once, and one only after it was lost.
func TestPeersOfADeadReplica(t *testing.T) {
	w := twoAgents(t, 2, "OTHER_SERVICE_URL", "CODER_AGENT_URL")
	one, oneID := w.agent(t, 0, w.agentsAt)
	two, twoID := w.agent(t, 1, w.agentsAt)
	client := w.client(t, map[string]string{string(oneID): "one", string(twoID): "two"})
	one.update(11)
	two.update(21)
	client.update(31)
	client.addTunnel(oneID)
	client.addTunnel(twoID)
	client.expectBoth("NODE one 11 (new)", "NODE two 21 (new)")
	one.expect("NODE client 31 (new)")
	two.expect("NODE client 31 (new)")

	pid, err := strconv.Atoi(os.Getenv("OTHER_SERVICE_PID"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	died := time.Now()
	one.expect("a failure")
	two.expect("a failure")

	two, _ = w.agent(t, 1, w.clientsAt)
	two.expect("NODE client 31 (new)")
	two.update(22)
	client.expect("NODE two 22 (update)")

	// the replica was heard of at most 2 s before it died, and is taken for dead 6 s after that
	client.expect("LOST one (lost)")
	silence := time.Since(died)
	t.Logf("LOST %v after the death of the replica", silence)
	if silence > 7*time.Second {
		t.Errorf("LOST %v after the death of the replica", silence)
	}

	one, _ = w.agent(t, 0, w.clientsAt)
	one.expect("NODE client 31 (new)")
	one.update(12)
	client.expect("NODE one 12 (found)")
	two.update(23)
	client.expect("NODE two 23 (update)")
}
