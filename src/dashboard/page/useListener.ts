/** The one way in which a component listens to something outside of it. */
import { useLayoutEffect, useRef } from "preact/hooks"

/**
 * Calls `onChange` for each event, and once after the listener stands. A component reads a state while it renders and
 * listens only afterwards; the extra call makes up for a change between the two.
 */
export const useListener = (target: EventTarget, event: string, onChange: () => void): void => {
  const latest = useRef(onChange)
  latest.current = onChange
  useLayoutEffect(() => {
    const listen = () => latest.current()
    target.addEventListener(event, listen)
    listen()
    return () => target.removeEventListener(event, listen)
  }, [target, event])
}
