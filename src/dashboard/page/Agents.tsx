/**
 * The agents that the viewer may see. Only rows in view are requested and are in the page, so that ten thousand agents cost
 * no more than fifty.
 */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks"
import type * as Wire from "../AgentCatalog.ts"
import * as Address from "./address.ts"
import { type Client, poll, useIsVisible, useNow } from "./client.ts"
import { age, count } from "../../operations/FigureFormat.ts"
import { notUpToDate } from "./Live.tsx"
import { pagesOf, rowsInView } from "./window.ts"

type Summary = typeof Wire.AgentSummary.Encoded

interface Answer {
  readonly total: number
  readonly agents: ReadonlyArray<Summary>
}

/** The agents of a search, in the pages that were requested so far. */
interface Found {
  readonly query: string
  readonly total: number
  readonly pages: ReadonlyMap<number, ReadonlyArray<Summary>>
  /** Whether the last request failed, so that the agents are old. */
  readonly isOld: boolean
}

const rowHeight = 40
const pageSize = 100

const columns: ReadonlyArray<{ readonly key: Wire.SortKey; readonly label: string }> = [
  { key: "name", label: "Agent" },
  { key: "workspace", label: "Workspace" },
  { key: "owner", label: "Owner" },
  { key: "status", label: "Connection" },
  { key: "lifecycle", label: "Lifecycle" }
]

export const Agents = ({ client, isAdmin }: { client: Client; isAdmin: boolean }) => {
  const [typed, setTyped] = useState(() => Address.read().search)
  const search = useSettled(typed, 150)
  const [sort, setSort] = useState<Wire.SortKey>(() => Address.read().sort)
  const [order, setOrder] = useState<"asc" | "desc">(() => Address.read().order)
  useEffect(() => Address.write({ search, sort, order }), [search, sort, order])
  const view = useRef<HTMLDivElement>(null)
  const [scrollTop, setScrollTop] = useState(0)
  const [height, setHeight] = useState(480)
  const query = new URLSearchParams({ search, sort, order }).toString()
  const found = useFound(client, query, scrollTop, height)
  const total = found?.total ?? 0
  const shown = rowsInView(total, rowHeight, scrollTop, height)

  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => setHeight(view.current!.clientHeight))
    observer.observe(view.current!)
    return () => observer.disconnect()
  }, [])
  useEffect(() => view.current?.scrollTo({ top: 0 }), [query])

  const sortBy = (key: Wire.SortKey) => {
    setOrder(key === sort && order === "asc" ? "desc" : "asc")
    setSort(key)
  }

  return (
    <section class="agents panel" aria-labelledby="agents">
      <div class="agents-head">
        <h2 id="agents">Agents</h2>
        <span class="muted found" role="status">
          {found === undefined ? "" : `${count(total)}${search.trim() === "" ? "" : " found"}`}
          {found?.isOld === true && ` · ${notUpToDate}`}
        </span>
        <label class="hidden" for="search">
          Search agents
        </label>
        <input
          id="search"
          type="search"
          placeholder="Search: name, id, workspace, owner, status"
          value={typed}
          autocomplete="off"
          spellcheck={false}
          onInput={(event) => setTyped(event.currentTarget.value)}
        />
      </div>
      <div
        class="rows"
        ref={view}
        tabIndex={0}
        role="region"
        aria-label="Rows"
        onScroll={(event) => setScrollTop(event.currentTarget.scrollTop)}
        onKeyDown={moveAmongRows}
      >
        <table aria-rowcount={total + 1}>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map(({ key, label }) => (
                <th
                  key={key}
                  scope="col"
                  class={`column-${key}`}
                  aria-sort={key === sort ? (order === "asc" ? "ascending" : "descending") : "none"}
                >
                  <button type="button" onClick={() => sortBy(key)}>
                    {label}
                    <span aria-hidden="true" class="arrow">
                      {key === sort ? (order === "asc" ? "▲" : "▼") : ""}
                    </span>
                  </button>
                </th>
              ))}
              <th scope="col" class="column-reported">
                Last value
              </th>
            </tr>
          </thead>
          <tbody>
            <Gap rows={shown.first} />
            {Array.from({ length: shown.end - shown.first }, (_, offset) => {
              const index = shown.first + offset
              const agent = found?.pages.get(Math.floor(index / pageSize))?.[index % pageSize]
              return <Row key={index} index={index} agent={agent} />
            })}
            <Gap rows={total - shown.end} />
          </tbody>
        </table>
        {found === undefined && <p class="nothing muted">Waiting for the list of agents…</p>}
        {found !== undefined && total === 0 && (
          <p class="nothing muted">
            {search.trim() !== ""
              ? "No agent has all these words."
              : isAdmin
                ? "There is no agent yet: create one in the administration."
                : "You have no agent yet."}
          </p>
        )}
      </div>
    </section>
  )
}

/** Takes the height of rows that are not in the page. */
const Gap = ({ rows }: { rows: number }) =>
  rows > 0 ? (
    <tr aria-hidden="true">
      <td style={{ height: `${rows * rowHeight}px`, padding: 0 }} />
    </tr>
  ) : null

const Row = ({ agent, index }: { agent: Summary | undefined; index: number }) => {
  if (agent === undefined) {
    return (
      <tr aria-rowindex={index + 2} class="awaited">
        <td>…</td>
      </tr>
    )
  }
  return (
    <tr aria-rowindex={index + 2}>
      <th scope="row">
        <a href={`#/agents/${agent.id}`}>{agent.name}</a>
      </th>
      <td class="column-workspace">{agent.workspace}</td>
      <td class="column-owner">{agent.owner}</td>
      <td class="column-status">
        <Status status={agent.status} />
      </td>
      <td class="column-lifecycle">{words(agent.lifecycle)}</td>
      <td class="column-reported">
        <Reported agent={agent} />
      </td>
    </tr>
  )
}

const Reported = ({ agent }: { agent: Summary }) => {
  const now = useNow()
  return (
    <>
      {agent.reported_at === null ? (
        <span class="muted">never</span>
      ) : (
        age((now - Date.parse(agent.reported_at)) / 1_000)
      )}
      {agent.errors > 0 && (
        <span class="bad">
          {" "}
          · {agent.errors} {agent.errors === 1 ? "error" : "errors"}
        </span>
      )}
    </>
  )
}

const statuses: { readonly [Status in Summary["status"]]: string } = {
  connected: "connected",
  connecting: "not seen yet",
  disconnected: "disconnected",
  timeout: "never came"
}

export const Status = ({ status }: { status: Summary["status"] }) => (
  <span class={`status status-${status}`}>{statuses[status]}</span>
)

export const words = (name: string) => name.replaceAll("_", " ")

/** Returns a value once it has not changed for a time. */
const useSettled = <A,>(value: A, millis: number): A => {
  const [settled, setSettled] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), millis)
    return () => clearTimeout(timer)
  }, [value, millis])
  return settled
}

/** Polls the pages in view every five seconds, and keeps the last answers until there are newer ones. */
const useFound = (client: Client, query: string, scrollTop: number, height: number): Found | undefined => {
  const [found, setFound] = useState<Found>()
  const isVisible = useIsVisible()
  const total = found?.query === query ? found.total : pageSize
  const pages = pagesOf(rowsInView(total, rowHeight, scrollTop, height), pageSize).join(",")

  useEffect(() => {
    if (!isVisible) return
    const controller = new AbortController()
    const { signal } = controller
    const ask = async (page: number, limited: AbortSignal) => {
      const path = `/api/v2/dashboard/agents?${query}&offset=${page * pageSize}&limit=${pageSize}`
      const { agents, total } = await client.get<Answer>(path, limited)
      if (signal.aborted) return
      setFound((before) => ({
        query,
        total,
        pages: new Map([...(before?.query === query ? before.pages : []), [page, agents]]),
        isOld: false
      }))
    }
    const askAll = (limited: AbortSignal) =>
      Promise.all(pages.split(",").map((page) => ask(Number(page), limited))).catch(() => {
        if (!signal.aborted) setFound((before) => before && { ...before, isOld: true })
      })
    void poll(askAll, 5_000, signal)
    return () => controller.abort()
  }, [client, query, pages, isVisible])
  return found
}

/** The first agent that is in view. */
const rowAtTop = (view: HTMLElement) => {
  const top = view.getBoundingClientRect().top + rowHeight
  return [...view.querySelectorAll("tbody a")].find((link) => link.getBoundingClientRect().top >= top)
}

/** The height of a page of rows beneath the head of the table. */
const page = (view: HTMLElement) => view.clientHeight - rowHeight

/** Moves the focus from agent to agent with the arrow keys, and scrolls with Home, End and the page keys. */
const moveAmongRows = (event: KeyboardEvent) => {
  const view = event.currentTarget as HTMLElement
  const top = {
    Home: 0,
    End: view.scrollHeight,
    PageUp: view.scrollTop - page(view),
    PageDown: view.scrollTop + page(view)
  }
  if (event.key in top) {
    event.preventDefault()
    view.scrollTo({ top: top[event.key as keyof typeof top] })
    // the focus would be lost with its row
    view.focus({ preventScroll: true })
    return
  }
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return
  const row = document.activeElement?.closest("tbody tr")
  const next =
    row == null
      ? rowAtTop(view)
      : (event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling)?.querySelector("a")
  if (next instanceof HTMLElement) {
    event.preventDefault()
    next.focus({ preventScroll: true })
    next.scrollIntoView({ block: "nearest" })
  }
}
