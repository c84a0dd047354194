/** What the page asks the service for. */
import { useEffect, useRef, useState } from "preact/hooks"
import { makeReader, type ServerSentEvent } from "./serverSentEvents.ts"

/** Asks for JSON with a token; fails with the status when it is not 200. */
export class Refused extends Error {
  readonly status: number
  constructor(status: number) {
    super(`the service answered ${status}`)
    this.status = status
  }
}

export interface Client {
  readonly get: <A>(path: string, signal?: AbortSignal) => Promise<A>
  /** Reads a stream until it ends, fails or is cancelled. */
  readonly read: (path: string, onEvent: (event: ServerSentEvent) => void, signal: AbortSignal) => Promise<void>
}

/** `onRefused` is called when the token is not, or no longer, that of a user. */
export const make = (token: string, onRefused: () => void): Client => {
  const request = async (path: string, accept: string, signal: AbortSignal | undefined) => {
    const response = await fetch(path, {
      headers: { "coder-session-token": token, accept },
      cache: "no-store",
      credentials: "omit",
      signal: signal ?? null
    })
    if (response.status === 401) onRefused()
    if (!response.ok) {
      await response.body?.cancel()
      throw new Refused(response.status)
    }
    return response
  }
  return {
    get: async (path, signal) => (await request(path, "application/json", signal)).json(),
    read: async (path, onEvent, signal) => {
      const { body } = await request(path, "text/event-stream", signal)
      const read = makeReader()
      const chunks = body!.pipeThrough(new TextDecoderStream()).getReader()
      for (let chunk = await chunks.read(); !chunk.done; chunk = await chunks.read()) {
        for (const event of read(chunk.value)) onEvent(event)
      }
    }
  }
}

export type Connection = "connecting" | "live" | "lost"

/** Whether the page can be seen. */
export const useIsVisible = (): boolean => {
  const [isVisible, setVisible] = useState(!document.hidden)
  useEffect(() => {
    const listen = () => setVisible(!document.hidden)
    document.addEventListener("visibilitychange", listen)
    return () => document.removeEventListener("visibilitychange", listen)
  }, [])
  return isVisible
}

/**
 * Follows a stream for as long as the page can be seen: browsers have few connections to an origin, which pages that
 * nobody looks at must not hold. One that breaks is made again, after pauses that grow to five seconds.
 */
export const useStream = (
  client: Client,
  path: () => string,
  identity: string,
  onEvent: (event: ServerSentEvent) => void
): Connection => {
  const [connection, setConnection] = useState<Connection>("connecting")
  const isVisible = useIsVisible()
  const latest = useRef({ onEvent, path })
  latest.current = { onEvent, path }
  useEffect(() => {
    if (!isVisible) return
    const controller = new AbortController()
    const { signal } = controller
    let attempts = 0
    const follow = async () => {
      while (!signal.aborted) {
        await client
          .read(
            latest.current.path(),
            (event) => {
              if (signal.aborted) return
              attempts = 0
              setConnection("live")
              latest.current.onEvent(event)
            },
            signal
          )
          .catch(() => {})
        if (signal.aborted) return
        setConnection("lost")
        await pause(Math.min(5_000, 250 * 2 ** attempts++), signal)
      }
    }
    void follow()
    return () => controller.abort()
  }, [client, identity, isVisible])
  return connection
}

const pause = (millis: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, millis)
    signal.addEventListener("abort", () => {
      clearTimeout(timer)
      resolve()
    })
  })

/** The time in milliseconds, once a second. */
export const useNow = (): number => {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000)
    return () => clearInterval(timer)
  }, [])
  return now
}

/**
 * What a request answers, asked again at an interval and when `path` changes: undefined until it has answered, "missing"
 * when there is no such thing.
 */
export const useAnswer = <A>(client: Client, path: string, intervalMillis: number): A | "missing" | undefined => {
  const [answer, setAnswer] = useState<{ readonly path: string; readonly value: A | "missing" }>()
  const isVisible = useIsVisible()
  useEffect(() => {
    if (!isVisible) return
    const controller = new AbortController()
    const ask = () =>
      client.get<A>(path, controller.signal).then(
        (value) => setAnswer({ path, value }),
        (error) => {
          if (error instanceof Refused && error.status === 404) setAnswer({ path, value: "missing" })
        }
      )
    void ask()
    const timer = setInterval(ask, intervalMillis)
    return () => {
      clearInterval(timer)
      controller.abort()
    }
  }, [client, path, intervalMillis, isVisible])
  return answer?.path === path ? answer.value : undefined
}
