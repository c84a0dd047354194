/** The search and the order of the agents in the address of the page, so that a link leads to what it showed. */
import type { SortKey } from "../AgentCatalog.ts"

export interface Place {
  readonly search: string
  readonly sort: SortKey
  readonly order: "asc" | "desc"
}

const sortKeys: ReadonlyArray<string> = ["name", "workspace", "owner", "status", "lifecycle"] satisfies Array<SortKey>

const isSortKey = (text: string | null): text is SortKey => text !== null && sortKeys.includes(text)

/** Returns the search and the order that the address holds, or those of a page without any. */
export const read = (): Place => {
  const parameters = new URLSearchParams(location.search)
  const sort = parameters.get("sort")
  return {
    search: parameters.get("search") ?? "",
    sort: isSortKey(sort) ? sort : "name",
    order: parameters.get("order") === "desc" ? "desc" : "asc"
  }
}

/** Puts them into the address, without a new entry in the history. */
export const write = ({ order, search, sort }: Place): void => {
  const parameters = new URLSearchParams()
  if (search.trim() !== "") parameters.set("search", search)
  if (sort !== "name") parameters.set("sort", sort)
  if (order !== "asc") parameters.set("order", order)
  const query = parameters.toString()
  history.replaceState(null, "", `${location.pathname}${query === "" ? "" : `?${query}`}${location.hash}`)
}
