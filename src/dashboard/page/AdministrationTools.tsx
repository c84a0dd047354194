/** The parts of which the administration is made: lists that follow changes, their tables, and forms. */
import { type ComponentChildren, Fragment } from "preact"
import { useEffect, useState } from "preact/hooks"
import { type Client, poll } from "./client.ts"
import type { Question } from "./Confirm.tsx"
import { Head } from "./Head.tsx"
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

/** The pause before a list that did not come is requested again. */
const retryMillis = 2_000

/** Reads a list, and reads it again after each change. Returns undefined until there is one. */
export const useList = <A,>({ client, version }: Tools, path: string): ReadonlyArray<A> | undefined => {
  const [list, setList] = useState<ReadonlyArray<A>>()
  useEffect(() => {
    const controller = new AbortController()
    const { signal } = controller
    const ask = async (limited: AbortSignal) => {
      const list = await client.get<ReadonlyArray<A>>(path, limited)
      if (signal.aborted) return
      setList(list)
      controller.abort()
    }
    void poll(ask, retryMillis, signal)
    return () => controller.abort()
  }, [client, path, version])
  return list
}

/** Says that a list is waited for, until there is one. */
export const Waiting = ({ list }: { list: ReadonlyArray<unknown> | undefined }) =>
  list === undefined ? <p class="muted">Waiting for the list…</p> : null

/** A button that makes a change when its question is agreed to. */
export const Action = ({
  children,
  label,
  text,
  tools: { ask, run },
  verb,
  work
}: {
  label: string
  text: string
  verb: string
  work: () => Promise<Made | void>
  tools: Tools
  children: ComponentChildren
}) => (
  <button type="button" class="quiet" aria-label={label} onClick={() => ask({ text, verb, onAgree: () => run(work) })}>
    {children}
  </button>
)

/** A thing that has others beneath it. */
export interface Thing {
  readonly key: string
  readonly name: string
  readonly cells: ReadonlyArray<ComponentChildren>
  /** The button that deletes it. */
  readonly deletion: ComponentChildren
  readonly beneath: ComponentChildren
}

/** A table of things. A button of each one shows what is beneath it, in the place of what was shown before. */
export const Things = ({
  beneath,
  things,
  words
}: {
  words: ReadonlyArray<string>
  /** The name of the things beneath, in the plural. */
  beneath: string
  things: ReadonlyArray<Thing> | undefined
}) => {
  const [open, setOpen] = useState<string>()
  return (
    <>
      <table>
        <Head words={[...words, "Actions"]} />
        <tbody>
          {things?.map((thing) => {
            const isOpen = open === thing.key
            return (
              <Fragment key={thing.key}>
                <tr>
                  <th scope="row">{thing.name}</th>
                  {thing.cells.map((cell, index) => (
                    <td key={index}>{cell}</td>
                  ))}
                  <td class="buttons">
                    <button
                      type="button"
                      class="quiet"
                      aria-expanded={isOpen}
                      aria-label={`${beneath} of ${thing.name}`}
                      onClick={() => setOpen(isOpen ? undefined : thing.key)}
                    >
                      {beneath}
                    </button>
                    {thing.deletion}
                  </td>
                </tr>
                {isOpen && (
                  <tr>
                    <td colSpan={words.length + 1}>{thing.beneath}</td>
                  </tr>
                )}
              </Fragment>
            )
          })}
        </tbody>
      </table>
      <Waiting list={things} />
    </>
  )
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
  type?: "number"
  min?: number
}) => (
  <label>
    {label} <input name={name} autocomplete="off" spellcheck={false} {...rest} />
  </label>
)
