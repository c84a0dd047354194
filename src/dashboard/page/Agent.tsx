/** One agent: its live values, its lifecycle, the connections to it, and its live log. */
import type { ComponentChildren } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import type * as Wire from "../AgentCatalog.ts"
import type { MetadataView } from "../../domain/MetadataView.ts"
import { Status, words } from "./Agents.tsx"
import { type Client, useNow, usePolled, useStream } from "./client.ts"
import { age, duration, isCollected, isStale } from "../../operations/FigureFormat.ts"
import { Copy } from "./Copy.tsx"
import { Head } from "./Head.tsx"
import { type History, remember } from "./history.ts"
import { Freshness, Live } from "./Live.tsx"
import { newest, type StreamedLifecycle } from "./lifecycle.ts"
import { Logs } from "./Logs.tsx"
import { Sparkline } from "./Sparkline.tsx"

type Details = typeof Wire.AgentDetails.Encoded

const close = () => {
  location.hash = "#/"
}

export const Agent = ({ client, id }: { client: Client; id: string }) => {
  const dialog = useRef<HTMLDialogElement>(null)
  const answer = usePolled<Details>(client, `/api/v2/dashboard/agents/${id}`, 5_000)
  const polled = answer === "missing" ? undefined : answer
  const details = polled?.value
  const isAway = details !== undefined && details.status !== "connected"
  const [streamed, setStreamed] = useState<StreamedLifecycle>()

  useEffect(() => dialog.current?.showModal(), [])

  return (
    <dialog
      ref={dialog}
      class="agent"
      aria-labelledby="agent"
      onClose={close}
      onClick={(event) => {
        // a click on the dialog itself is one beside its content
        if (event.target === event.currentTarget) event.currentTarget.close()
      }}
    >
      <div class="agent-body">
        <header>
          <div>
            <h2 id="agent">{details?.name ?? (answer === "missing" ? "There is no such agent" : "Agent")}</h2>
            {details && (
              <p class="muted">
                {details.workspace} · {details.owner} · <code>{details.id}</code> <Copy text={details.id} />
              </p>
            )}
          </div>
          {polled && <Status status={polled.value.status} />}
          <Freshness isOld={polled?.isOld === true} />
          <button type="button" class="quiet" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </header>
        {answer === "missing" ? (
          <p>It was deleted, or belongs to somebody else.</p>
        ) : (
          <>
            <Values client={client} id={id} isAway={isAway} />
            {polled && <Lifecycle details={polled.value} askedAt={polled.askedAt} streamed={streamed} />}
            {details && <Connections connections={details.connections} />}
            {details && <Tailnet tailnet={details.tailnet} />}
            <Logs client={client} id={id} isAway={isAway} onLifecycle={setStreamed} />
          </>
        )}
      </div>
    </dialog>
  )
}

const Values = ({ client, id, isAway }: { client: Client; id: string; isAway: boolean }) => {
  const now = useNow()
  const [seen, setSeen] = useState<{ readonly values: ReadonlyArray<MetadataView>; readonly receivedAt: number }>()
  const [history, setHistory] = useState<History>(new Map())
  const connection = useStream(client, {
    path: () => `/api/v2/workspaceagents/${id}/watch-metadata`,
    identity: id,
    // the list is sent again after this time at the latest
    heartbeatMillis: 5_000,
    onEvent: ({ data, event }) => {
      if (event !== "data") return
      const values: ReadonlyArray<MetadataView> = JSON.parse(data)
      setSeen({ values, receivedAt: Date.now() })
      setHistory((before) => remember(before, values))
    }
  })
  return (
    <section aria-labelledby="values">
      <h3 id="values">
        Metadata <Live connection={connection} isAway={isAway} />
      </h3>
      {seen === undefined && <p class="muted">Waiting for the values…</p>}
      {seen?.values.length === 0 && <p class="muted">This agent declares no keys.</p>}
      {seen && seen.values.length > 0 && (
        <table class="values">
          <Head words={["Key", "Value", "Since this page is open"]} numbers={["Age"]} />
          <tbody>
            {seen.values.map((view) => (
              <Value
                key={view.description.key}
                view={view}
                past={history.get(view.description.key)?.numbers ?? []}
                later={(now - seen.receivedAt) / 1_000}
              />
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

/** A value that was received `later` seconds ago. */
const Value = ({
  later,
  past,
  view: { description, result }
}: {
  view: MetadataView
  past: ReadonlyArray<number>
  later: number
}) => {
  const { display_name, interval, key, script } = description
  const seconds = result.age + Math.max(0, later)
  const hasValue = isCollected(result.collected_at)
  const old = hasValue && isStale(seconds, interval)
  return (
    <tr class={old ? "stale" : ""}>
      <th scope="row" title={key}>
        {display_name === "" ? key : display_name}
        <details class="muted">
          <summary>{interval === 0 ? "once" : `every ${duration(interval)}`}</summary>
          {script === "" ? "no script" : <code>{script}</code>}
        </details>
      </th>
      <td>
        {!hasValue ? (
          <span class="muted">no value yet</span>
        ) : result.error === "" ? (
          <>
            <span class="text">{result.value}</span> {result.value !== "" && <Copy text={result.value} />}
          </>
        ) : (
          <span class="bad">
            <span class="tag">error</span> {result.error}
          </span>
        )}
      </td>
      <td>
        <Sparkline numbers={past} />
      </td>
      <td class="number">
        {hasValue && age(seconds)}
        {old && <span class="tag">stale</span>}
      </td>
    </tr>
  )
}

const Time = ({ at }: { at: string | null }) =>
  at === null ? <span class="muted">–</span> : <time dateTime={at}>{new Date(at).toLocaleString()}</time>

const Fact = ({ children, name }: { name: string; children: ComponentChildren }) => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)

const Lifecycle = ({
  askedAt,
  details,
  streamed
}: {
  details: Details
  askedAt: number
  streamed: StreamedLifecycle | undefined
}) => {
  const { ready_at, started_at, state } = newest(streamed, { ...details, state: details.lifecycle }, askedAt)
  const took = started_at !== null && ready_at !== null ? (Date.parse(ready_at) - Date.parse(started_at)) / 1_000 : null
  return (
    <section aria-labelledby="lifecycle">
      <h3 id="lifecycle">
        Lifecycle <span class={`status lifecycle-${state}`}>{words(state)}</span>
      </h3>
      <dl class="facts">
        <Fact name="Created">
          <Time at={details.created_at} />
        </Fact>
        <Fact name="First connected">
          <Time at={details.first_connected_at} />
        </Fact>
        <Fact name="Startup began">
          <Time at={started_at} />
        </Fact>
        <Fact name="Ready">
          <Time at={ready_at} />
          {took !== null && took >= 0 && <span class="muted"> after {duration(took)}</span>}
        </Fact>
        <Fact name="Last seen">
          <Time at={details.last_connected_at} />
        </Fact>
        <Fact name="Disconnected">
          <Time at={details.disconnected_at} />
        </Fact>
        <Fact name="System">
          {details.first_connected_at === null ? (
            <span class="muted">not known yet</span>
          ) : (
            `${details.operating_system}/${details.architecture} ${details.version}`
          )}
        </Fact>
        <Fact name="Folder">
          {details.directory === "" ? <span class="muted">–</span> : <code>{details.directory}</code>}
        </Fact>
      </dl>
    </section>
  )
}

const Connections = ({ connections }: { connections: Details["connections"] }) => (
  <section aria-labelledby="connections">
    <h3 id="connections">Connections</h3>
    {connections.length === 0 ? (
      <p class="muted">Nobody has connected to this agent yet.</p>
    ) : (
      <table>
        <Head words={["By", "From", "Since", "For"]} />
        <tbody>
          {connections.map(({ app, connected_at, disconnected_at, ip, reason, type }) => (
            <tr key={`${connected_at} ${type} ${ip}`}>
              <th scope="row">{app ?? words(type)}</th>
              <td>{ip ?? "–"}</td>
              <td>
                <Time at={connected_at} />
              </td>
              <td>
                {disconnected_at === null ? (
                  <span class="status status-connected">open</span>
                ) : (
                  duration((Date.parse(disconnected_at) - Date.parse(connected_at)) / 1_000)
                )}
                {reason !== null && reason !== "" && <span class="muted"> {reason}</span>}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    )}
  </section>
)

const peerStatuses: { readonly [Status in Wire.PeerStatus]: string } = {
  connected: "connected",
  lost: "lost",
  connecting: "not seen yet"
}

const PeerStatus = ({ status }: { status: Wire.PeerStatus }) => (
  <span class={`status status-${status === "lost" ? "disconnected" : status}`}>{peerStatuses[status]}</span>
)

const Tailnet = ({ tailnet: { connected_at, status, total, tunnels } }: { tailnet: Details["tailnet"] }) => (
  <section aria-labelledby="tailnet">
    <h3 id="tailnet">
      Tailnet <PeerStatus status={status} />
    </h3>
    {connected_at !== null && (
      <p class="muted">
        {status === "lost" ? "Was a peer from" : "A peer since"} <Time at={connected_at} />
      </p>
    )}
    {tunnels.length === 0 ? (
      <p class="muted">No peer has a tunnel to this agent.</p>
    ) : (
      <>
        <table>
          <Head words={["Peer", "Status", "Connected since", "Tunnel since"]} />
          <tbody>
            {tunnels.map((tunnel) => (
              <tr key={tunnel.peer}>
                <th scope="row">
                  <code title={tunnel.peer}>{tunnel.peer.slice(0, 8)}</code>
                </th>
                <td>
                  <PeerStatus status={tunnel.status} />
                </td>
                <td>
                  <Time at={tunnel.connected_at} />
                </td>
                <td>
                  <Time at={tunnel.opened_at} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {total > tunnels.length && (
          <p class="muted">
            {total - tunnels.length} more {total - tunnels.length === 1 ? "tunnel" : "tunnels"}
          </p>
        )}
      </>
    )}
  </section>
)
