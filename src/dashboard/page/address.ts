/**
 * The search and the order of the agents, and the range of the plots, in the address of the page, so that a link leads to
 * what it showed.
 */
import { type Range, ranges } from "../../operations/History.ts"
import type { SortKey } from "../AgentCatalog.ts"

export interface Place {
  readonly search: string
  readonly sort: SortKey
  readonly order: "asc" | "desc"
  readonly range: Range
}

const sortKeys: ReadonlyArray<string> = ["name", "workspace", "owner", "status", "lifecycle"] satisfies Array<SortKey>

const isSortKey = (text: string | null): text is SortKey => text !== null && sortKeys.includes(text)

/** Returns what the address holds, or what a page without any of it shows. */
export const read = (): Place => {
  const parameters = new URLSearchParams(location.search)
  const sort = parameters.get("sort")
  return {
    search: parameters.get("search") ?? "",
    sort: isSortKey(sort) ? sort : "name",
    order: parameters.get("order") === "desc" ? "desc" : "asc",
    range: ranges.find((range) => range === parameters.get("range")) ?? "10m"
  }
}

/** Puts a part of it into the address, without a new entry in the history. */
export const write = (part: Partial<Place>): void => {
  const { order, range, search, sort } = { ...read(), ...part }
  const parameters = new URLSearchParams()
  if (search.trim() !== "") parameters.set("search", search)
  if (sort !== "name") parameters.set("sort", sort)
  if (order !== "asc") parameters.set("order", order)
  if (range !== "10m") parameters.set("range", range)
  const query = parameters.toString()
  history.replaceState(null, "", `${location.pathname}${query === "" ? "" : `?${query}`}${location.hash}`)
}
