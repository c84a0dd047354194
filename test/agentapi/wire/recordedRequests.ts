/** The requests of the contract that recorded messages of agents stand for, by the names of the records. */
const at = (second: number) => `2026-01-01T00:00:0${second}.000Z`
const id = (digit: string) => "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx".replaceAll("x", digit)

export const requests: { readonly [name: string]: unknown } = {
  "stats request without stats (asks only for the interval): zero bytes": {},
  "stats report of a 2.10 agent": {
    stats: {
      connections_by_proto: { TCP: 2 },
      connection_count: 2,
      connection_median_latency_ms: -0.001,
      rx_packets: 10,
      rx_bytes: 2_000,
      tx_packets: 11,
      tx_bytes: 2_100,
      session_count_vscode: 0,
      session_count_jetbrains: 0,
      session_count_reconnecting_pty: 0,
      session_count_ssh: 1,
      session_counts: {},
      metrics: [{ name: "agent_x", type: "GAUGE", value: 1.5, labels: [{ name: "a", value: "b" }] }]
    }
  },
  "resource usage, one point with memory and one without": {
    datapoints: [
      {
        collected_at: at(0),
        memory: { used: 1_024, total: 4_096 },
        volumes: [{ volume: "/home", used: 5, total: 10 }]
      },
      { collected_at: "2026-01-01T00:00:10.000Z", volumes: [] }
    ]
  },
  "metadata report (note field number 2)": {
    metadata: [{ key: "cpu", result: { collected_at: "2026-01-01T00:00:00.500Z", age: 0, value: "12%\n", error: "" } }]
  },
  "metadata report with error": {
    metadata: [
      { key: "mem", result: { collected_at: at(0), age: 0, value: "partial", error: "run cmd: exit status 1" } }
    ]
  },
  "lifecycle starting": { lifecycle: { state: "STARTING", changed_at: at(0) } },
  "lifecycle ready": { lifecycle: { state: "READY", changed_at: at(5) } },
  startup: {
    startup: { version: "v2.35.1+abcdef", expanded_directory: "/home/alice/src", subsystems: ["ENVBUILDER"] }
  },
  "two log lines": {
    log_source_id: id("3"),
    logs: [
      { created_at: at(0), output: "hi", level: "INFO" },
      { created_at: at(0), output: "bad", level: "ERROR" }
    ]
  },
  "script timing, all enum values zero are absent on the wire": {
    timing: { script_id: id("4"), start: at(0), end: at(1), exit_code: 0, stage: "START", status: "OK" }
  },
  "script timing failed": {
    timing: { script_id: id("4"), start: at(0), end: at(1), exit_code: 255, stage: "CRON", status: "TIMED_OUT" }
  },
  "connection opened": {
    connection: {
      id: id("6"),
      action: "CONNECT",
      type: "SSH",
      timestamp: at(0),
      ip: "fd7a:115c:a1e0::1",
      status_code: 0,
      app_name: ""
    }
  },
  "connection of a newer agent with app name": {
    connection: {
      id: id("6"),
      action: "CONNECT",
      type: "VSCODE",
      timestamp: at(0),
      ip: "127.0.0.1",
      status_code: 0,
      app_name: "cursor"
    }
  },
  "connection closed, optional reason present and empty": {
    connection: {
      id: id("6"),
      action: "DISCONNECT",
      type: "SSH",
      timestamp: at(1),
      ip: "fd7a:115c:a1e0::1",
      status_code: 0,
      reason: "",
      app_name: ""
    }
  },
  "app health": { updates: [{ id: id("5"), health: "HEALTHY" }] },
  "app status": { slug: "ai", state: "IDLE", message: "done", uri: "https://example.com" },
  "create sub-agent": {
    name: "dc",
    directory: "/workspaces/x",
    architecture: "amd64",
    operating_system: "linux",
    apps: [{ slug: "web", hidden: false, open_in: "SLIM_WINDOW", share: "OWNER", url: "http://localhost:1" }],
    display_apps: ["VSCODE", "WEB_TERMINAL"]
  },
  "boundary logs": {
    logs: [
      {
        allowed: true,
        time: at(0),
        http_request: { method: "GET", url: "https://example.com/", matched_rule: "domain=example.com" },
        sequence_number: 1
      }
    ],
    session_id: "6a1f0c1e-0000-4000-8000-000000000001",
    confined_process_name: "claude-code"
  },
  "context push": {
    version: "1",
    aggregate_hash: "qqqqqg==",
    resources: [
      {
        source: "/home/a/AGENTS.md",
        content_hash: "u7u7uw==",
        size_bytes: 5,
        status: "OK",
        error: "",
        instruction_file: { content: "aGVsbG8=" }
      },
      { source: "srv", content_hash: "zMzMzA==", size_bytes: 0, status: "INVALID", error: "", mcp_config: {} }
    ],
    initial: true,
    snapshot_error: ""
  }
}
