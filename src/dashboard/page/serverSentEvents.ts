/** Reads server-sent events. The reader of a browser could send the token only in the address. */

export interface ServerSentEvent {
  readonly event: string
  readonly data: string
}

/** Returns a reader that takes text in pieces and returns the events that are complete. */
export const makeReader = () => {
  let rest = ""
  return (text: string): ReadonlyArray<ServerSentEvent> => {
    const blocks = (rest + text).replaceAll("\r\n", "\n").split("\n\n")
    rest = blocks.pop()!
    return blocks.map(parse).filter((event) => event.data !== "" || event.event !== "message")
  }
}

const parse = (block: string): ServerSentEvent => {
  let event = "message"
  const data: Array<string> = []
  for (const line of block.split("\n")) {
    const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? []
    if (field === "event") event = value
    if (field === "data") data.push(value)
  }
  return { event, data: data.join("\n") }
}
