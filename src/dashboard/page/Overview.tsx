/** The state of the service: its health, its work now and in the last minutes or hours, its losses. */
import type { ComponentChildren } from "preact"
import { useEffect, useMemo, useState } from "preact/hooks"
import { isKept, length, type Range, ranges, secondsOfPoint } from "../../operations/History.ts"
import type * as Wire from "../../operations/Overview.ts"
import * as Address from "./address.ts"
import { type Client, type Connection, useNow, usePolled, useStream, useUnready } from "./client.ts"
import { age, count, duration, rate } from "../../operations/FigureFormat.ts"
import { Head } from "./Head.tsx"
import { Freshness } from "./Live.tsx"
import { Plot } from "./Plot.tsx"
import { append, columns } from "./series.ts"

export const Overview = ({ client }: { client: Client }) => {
  const [points, setPoints] = useState<ReadonlyArray<Wire.Point>>([])
  const [latest, setLatest] = useState<{ readonly overview: Wire.Overview; readonly receivedAt: number }>()

  const connection = useStream(client, {
    path: () => "/api/v2/dashboard/watch-overview",
    identity: "overview",
    // an overview comes every second, and a pause of the browser is not one of the service
    heartbeatMillis: 3_000,
    onEvent: ({ data, event }) => {
      if (event === "history") setPoints((points) => append(points, JSON.parse(data)))
      if (event === "overview") {
        const overview: Wire.Overview = JSON.parse(data)
        setLatest({ overview, receivedAt: Date.now() })
        setPoints((points) => append(points, [overview.point]))
      }
    }
  })

  if (latest === undefined) return <Health connection={connection} overview={undefined} receivedAt={Date.now()} />
  const { overview, receivedAt } = latest
  return (
    <div class={`overview ${connection === "lost" ? "old" : ""}`}>
      <Health connection={connection} overview={overview} receivedAt={receivedAt} />
      <Tiles overview={overview} />
      <Fleet fleet={overview.fleet} />
      <Plots client={client} points={points} startedAt={overview.point.at - 1_000 * overview.uptime} />
      <div class="panels">
        <Flushes overview={overview} />
        <Sizes sizes={overview.sizes} />
        <Incidents incidents={overview.incidents} />
      </div>
    </div>
  )
}

const Health = ({
  connection,
  overview,
  receivedAt
}: {
  connection: Connection
  overview: Wire.Overview | undefined
  receivedAt: number
}) => {
  const now = useNow()
  const problem = useUnready(connection === "lost")
  if (connection === "lost" || overview === undefined) {
    const seconds = (now - receivedAt) / 1_000
    const text =
      connection !== "lost"
        ? "Connecting"
        : problem === undefined
          ? "No connection to the service"
          : `The service is not ready: ${problem}`
    return (
      <section class={`health ${connection === "lost" ? "failing" : ""}`} aria-label="Health">
        <div role="status">
          <h1>{text}</h1>
        </div>
        {connection === "lost" && (
          <p>
            {overview === undefined ? "Nothing is known of it. " : `These figures are from ${age(seconds)} ago. `}
            Trying again by itself.
          </p>
        )}
      </section>
    )
  }
  const { problems, uptime } = overview
  const isHealthy = problems.length === 0
  return (
    <section class={`health ${isHealthy ? "healthy" : "impaired"}`} aria-label="Health">
      <div role="status">
        <h1>{isHealthy ? "Healthy" : "Needs attention"}</h1>
      </div>
      {isHealthy ? (
        <p>
          Everything that was accepted is written or about to be; nothing was dropped or lost in the last five minutes.
        </p>
      ) : (
        <ul>
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      <p class="uptime">up for {duration(uptime)}</p>
    </section>
  )
}

const Tile = ({
  children,
  label,
  state = "",
  unit,
  value
}: {
  label: string
  value: string
  unit?: string
  state?: string
  children?: ComponentChildren
}) => (
  <div class={`tile panel ${state}`}>
    <dt>{label}</dt>
    <dd>
      <span class="value">{value}</span>
      {unit && <span class="unit"> {unit}</span>}
      <span class="note">{children}</span>
    </dd>
  </div>
)

const Tiles = ({ overview: { incidents, point, totals } }: { overview: Wire.Overview }) => {
  const lost = incidents.filter(({ isLoss }) => isLoss).reduce((sum, { total }) => sum + total, 0)
  return (
    <dl class="tiles" aria-label="Now">
      <Tile label="Agents connected" value={count(point.agents)}>
        to this replica
      </Tile>
      <Tile label="Updates in" value={rate(point.updates)} unit="/s">
        {count(totals.updates)} since the start
      </Tile>
      <Tile label="Rows written" value={rate(point.rows)} unit="/s">
        {count(totals.rows)} since the start
      </Tile>
      <Tile label="NOTIFYs" value={rate(point.notifies)} unit="/s">
        {rate(point.statements)} write statements /s
      </Tile>
      <Tile label="Statements saved" value={count(totals.saved)}>
        {totals.statements === 0
          ? "against writing one by one"
          : `${count(totals.statements)} instead of ${count(totals.saved + totals.statements)}`}
      </Tile>
      <Tile label="Dropped or lost" value={count(lost)} state={lost === 0 ? "fine" : "alarming"}>
        {lost === 0 ? "nothing, since the start" : "since the start; see below"}
      </Tile>
    </dl>
  )
}

const rangeNames: { readonly [R in Range]: string } = {
  "10m": "10 minutes",
  "1h": "hour",
  "6h": "6 hours",
  "1d": "day"
}

/** Says of what the plots of a range are. `startedAt` is when this replica started. */
const subject = (range: Range, startedAt: number, now: number) => {
  if (isKept(range)) return "of all replicas, from before a restart too"
  const isWhole = now - startedAt >= 1_000 * length * secondsOfPoint[range]
  return `of this replica${isWhole ? "" : `, since its start at ${new Date(startedAt).toLocaleTimeString([], { hour12: false })}`}`
}

const Plots = ({
  client,
  points,
  startedAt
}: {
  client: Client
  points: ReadonlyArray<Wire.Point>
  startedAt: number
}) => {
  const [range, setRange] = useState(() => Address.read().range)
  useEffect(() => Address.write({ range }), [range])
  return (
    <section class="plots" aria-labelledby="plots">
      <div class="plots-head">
        <h2 id="plots">The last {rangeNames[range]}</h2>
        <span class="muted">{subject(range, startedAt, points.at(-1)?.at ?? startedAt)}</span>
        <div class="ranges" role="group" aria-label="Range of the plots">
          {ranges.map((one) => (
            <button key={one} type="button" class="quiet" aria-pressed={one === range} onClick={() => setRange(one)}>
              {one === "1h" || one === "1d" ? "1 " : ""}
              {rangeNames[one]}
            </button>
          ))}
        </div>
      </div>
      {range === "10m" ? (
        <PlotsOf points={points} range={range} />
      ) : (
        <LongPlots key={range} client={client} range={range} />
      )}
    </section>
  )
}

/** The plots of a range whose points the service makes. */
const LongPlots = ({ client, range }: { client: Client; range: Range }) => {
  const answer = usePolled<ReadonlyArray<Wire.Point>>(client, `/api/v2/dashboard/history?range=${range}`, 15_000)
  if (typeof answer !== "object") return <p class="muted">Waiting for the figures…</p>
  return (
    <>
      <Freshness isOld={answer.isOld} />
      <PlotsOf points={answer.value} range={range} />
    </>
  )
}

const PlotsOf = ({ points, range }: { points: ReadonlyArray<Wire.Point>; range: Range }) => {
  const data = useMemo(() => {
    const of = (...keys: ReadonlyArray<Exclude<keyof Wire.Point, "at">>) =>
      columns(points, secondsOfPoint[range], ...keys)
    return {
      work: of("updates", "rows"),
      cost: of("statements", "notifies"),
      age: of("writtenAge"),
      delay: of("watchDelay"),
      backlog: of("pending", "queued"),
      agents: of("agents")
    }
  }, [points, range])
  return (
    <>
      <Plot
        title="Work, per second"
        data={data.work}
        lines={[
          { label: "updates in", color: "blue", isArea: true },
          { label: "rows written", color: "green" }
        ]}
        format={rate}
      />
      <Plot
        title="Cost, per second"
        data={data.cost}
        lines={[
          { label: "statements", color: "violet", isArea: true },
          { label: "NOTIFYs", color: "orange" }
        ]}
        format={rate}
      />
      <Plot
        title="Age when written"
        data={data.age}
        lines={[{ label: "95 % within", color: "orange", isArea: true }]}
        format={duration}
      />
      <Plot
        title="From report to sight"
        data={data.delay}
        lines={[{ label: "95 % within", color: "violet", isArea: true }]}
        format={duration}
      />
      <Plot
        title="Backlog, in entries"
        data={data.backlog}
        isWhole
        lines={[
          { label: "pending", color: "blue", isArea: true },
          { label: "queued", color: "orange" }
        ]}
        format={count}
      />
      <Plot
        title="Agents connected"
        data={data.agents}
        isWhole
        lines={[{ label: "agents", color: "green", isArea: true }]}
        format={count}
      />
    </>
  )
}

const whatFor: Readonly<Record<string, string>> = {
  capacity: "a batch was full",
  scheduled: "it was time",
  manual: "it was asked for",
  shutdown: "the service stopped"
}

const Flushes = ({ overview: { flushes, point } }: { overview: Wire.Overview }) => (
  <section class="panel" aria-labelledby="flushes">
    <h2 id="flushes">Flushes</h2>
    <table>
      <Head words={["Because"]} numbers={["Batches", "Mean", "95 %"]} />
      <tbody>
        {flushes.map(({ isP95Least, mean, p95, reason, total }) => (
          <tr key={reason}>
            <th scope="row">
              {reason} <span class="muted">{whatFor[reason]}</span>
            </th>
            <td class="number">{count(total)}</td>
            <td class="number">{mean === null ? "–" : duration(mean)}</td>
            <td class="number">{p95 === null ? "–" : `${isP95Least ? "over " : ""}${duration(p95)}`}</td>
          </tr>
        ))}
      </tbody>
    </table>
    <p class="muted">
      Durations are those of the last five minutes. Now {count(point.pending)} entries are pending,{" "}
      {count(point.queued)} queued.
    </p>
  </section>
)

const Sizes = ({ sizes }: { sizes: Wire.Overview["sizes"] }) => {
  const most = Math.max(1, ...sizes.map(({ count }) => count))
  const label = (upTo: number | null, index: number) =>
    upTo === null ? `over ${sizes[index - 1]?.upTo ?? 0}` : `to ${upTo}`
  return (
    <section class="panel" aria-labelledby="sizes">
      <h2 id="sizes">Sizes of batches</h2>
      <table class="bars">
        <Head class="hidden" words={["Entries", "Batches"]} />
        <tbody>
          {sizes.map(({ count: batches, upTo }, index) => (
            <tr key={upTo}>
              <th scope="row">{label(upTo, index)}</th>
              <td>
                <span class="bar-track" aria-hidden="true">
                  <span class="bar-fill" style={{ width: `${(100 * batches) / most}%` }} />
                </span>
                <span class={batches === 0 ? "muted" : ""}>{count(batches)}</span>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="muted">Entries in one statement, in the last five minutes.</p>
    </section>
  )
}

const Incidents = ({ incidents }: { incidents: Wire.Overview["incidents"] }) => (
  <section class="panel" aria-labelledby="incidents">
    <h2 id="incidents">Drops, losses and failures</h2>
    <table class="zeros">
      <Head words={["What"]} numbers={["5 min", "All"]} />
      <tbody>
        {incidents.map(({ isLoss, label, recent, total }) => (
          <tr key={label} class={recent > 0 || (isLoss && total > 0) ? "bad" : ""}>
            <th scope="row">{label}</th>
            <td class="number">{count(recent)}</td>
            <td class="number">{count(total)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  </section>
)

/** All replicas with their sums; nothing of a service that is alone. */
const Fleet = ({ fleet: { replicas, sums } }: { fleet: Wire.Overview["fleet"] }) => {
  if (replicas.length < 2) return null
  const cells = ({ agents, pending, rows, updates }: Wire.Overview["fleet"]["sums"]) =>
    [count(agents), rate(updates), rate(rows), count(pending)].map((text, index) => (
      <td key={index} class="number">
        {text}
      </td>
    ))
  return (
    <section class="panel" aria-labelledby="replicas">
      <h2 id="replicas">Replicas</h2>
      <table>
        <Head words={["Replica"]} numbers={["Agents", "Updates/s", "Rows/s", "Pending"]} />
        <tbody>
          {replicas.map(({ isOwn, name, problems, ...figures }) => (
            <tr key={name} class={problems.length > 0 ? "bad" : ""}>
              <th scope="row">
                {name} <span class="muted">{[...(isOwn ? ["shows this page"] : []), ...problems].join("; ")}</span>
              </th>
              {cells(figures)}
            </tr>
          ))}
          <tr>
            <th scope="row">All</th>
            {cells(sums)}
          </tr>
        </tbody>
      </table>
    </section>
  )
}
