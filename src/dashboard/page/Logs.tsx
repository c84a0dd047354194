/** The live log of an agent. Only lines in view are in the page. A log that is scrolled to its end stays there. */
import { useLayoutEffect, useRef, useState } from "preact/hooks"
import type { AgentLog } from "../../domain/AgentLog.ts"
import type { StreamedLifecycle } from "./lifecycle.ts"
import { Live } from "./Live.tsx"
import { type Client, useStream } from "./client.ts"
import { count, plain } from "../../operations/FigureFormat.ts"
import { rowsInView } from "./window.ts"

interface Line {
  readonly id: number
  readonly at: string
  readonly level: AgentLog["level"]
  readonly text: string
}

const lineHeight = 20

/** The most lines that are kept; the oldest are removed. */
const maxLines = 50_000

export const Logs = ({
  client,
  id,
  isAway,
  onLifecycle
}: {
  client: Client
  id: string
  isAway: boolean
  onLifecycle: (lifecycle: StreamedLifecycle) => void
}) => {
  const [lines, setLines] = useState<ReadonlyArray<Line>>([])
  const [scrollTop, setScrollTop] = useState(0)
  const [isLate, setLate] = useState(false)
  const view = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  const last = useRef(0)

  const connection = useStream(client, {
    path: () => `/api/v2/workspaceagents/${id}/logs?follow&after=${last.current}`,
    identity: id,
    heartbeatMillis: 15_000,
    onEvent: ({ data, event }) => {
      if (event === "error") setLate(true)
      if (event === "lifecycle") onLifecycle({ ...JSON.parse(data), receivedAt: performance.now() })
      if (event !== "logs") return
      setLate(false)
      const more = (JSON.parse(data) as ReadonlyArray<typeof AgentLog.Encoded>)
        .filter((line) => line.id > last.current)
        .map(({ created_at, id, level, output }): Line => ({ id, at: created_at, level, text: plain(output) }))
      last.current = more.at(-1)?.id ?? last.current
      setLines((lines) => [...lines, ...more].slice(-maxLines))
    }
  })

  useLayoutEffect(() => {
    if (isAtEnd.current) view.current?.scrollTo({ top: view.current.scrollHeight })
  }, [lines])

  const shown = rowsInView(lines.length, lineHeight, scrollTop, 320)
  return (
    <section aria-labelledby="logs">
      <h3 id="logs">
        Logs <span class="muted">{lines.length === 0 ? "" : `${count(lines.length)} lines`}</span>{" "}
        <Live connection={connection} isAway={isAway} />
        {isLate && <span class="bad"> the service cannot read logs now</span>}
      </h3>
      {lines.length === 0 ? (
        <p class="muted">{connection === "live" ? "This agent has logged nothing yet." : "Waiting for the log…"}</p>
      ) : (
        <div
          class="log"
          ref={view}
          tabIndex={0}
          role="region"
          aria-label="Lines"
          onScroll={({ currentTarget: { clientHeight, scrollHeight, scrollTop } }) => {
            isAtEnd.current = scrollTop + clientHeight >= scrollHeight - lineHeight
            setScrollTop(scrollTop)
          }}
        >
          <ol style={{ height: `${lines.length * lineHeight}px`, paddingTop: `${shown.first * lineHeight}px` }}>
            {lines.slice(shown.first, shown.end).map(({ at, id, level, text }) => (
              <li key={id} class={`level-${level}`}>
                <time dateTime={at}>{new Date(at).toLocaleTimeString([], { hour12: false })}</time>{" "}
                <span class="level">{level.padEnd(5)}</span> {text}
              </li>
            ))}
          </ol>
        </div>
      )}
    </section>
  )
}
