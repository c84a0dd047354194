/** The parts of which the administration is made: lists that follow changes, and forms. */
import type { ComponentChildren } from "preact"
import { useEffect, useState } from "preact/hooks"
import type { Client } from "./client.ts"
import type { Question } from "./Confirm.tsx"
import type { Made } from "./NewToken.tsx"

/** The tools of each part of the page. */
export interface Tools {
  readonly client: Client
  /** Counts the changes: after each one everything is read again. */
  readonly version: number
  /** Makes a change, and then shows the token that came of it. */
  readonly run: (work: () => Promise<Made | void>) => void
  readonly ask: (question: Question) => void
}

/** Reads a list, and reads it again after each change. Returns undefined until there is one. */
export const useList = <A,>({ client, version }: Tools, path: string): ReadonlyArray<A> | undefined => {
  const [list, setList] = useState<ReadonlyArray<A>>()
  useEffect(() => {
    const { abort, signal } = withAbort()
    client.get<ReadonlyArray<A>>(path, signal).then(
      (list) => !signal.aborted && setList(list),
      () => {}
    )
    return abort
  }, [client, path, version])
  return list
}

const withAbort = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

export const Form = ({
  children,
  label,
  onSend
}: {
  /** The text of its button, and its name. */
  label: string
  onSend: (values: { readonly [Name in string]?: string }) => void
  children: ComponentChildren
}) => (
  <form
    class="make"
    aria-label={label}
    onSubmit={(event) => {
      event.preventDefault()
      const form = event.currentTarget
      onSend(Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, String(value).trim()])))
      form.reset()
    }}
  >
    {children}
    <button type="submit">{label}</button>
  </form>
)

export const Field = ({
  label,
  name,
  ...rest
}: {
  label: string
  name: string
  required?: boolean
  placeholder?: string
}) => (
  <label>
    {label} <input name={name} autocomplete="off" spellcheck={false} {...rest} />
  </label>
)
