/** Finds the rows of a long list that are in view. */

export interface Window {
  /** The first row. */
  readonly first: number
  /** The row after the last one. */
  readonly end: number
}

/** Returns the rows that a scrolled view shows, with some beyond either edge, so that scrolling finds them there. */
export const rowsInView = (
  total: number,
  rowHeight: number,
  scrollTop: number,
  viewHeight: number,
  beyond = 10
): Window => {
  const first = Math.min(Math.max(0, Math.floor(scrollTop / rowHeight) - beyond), Math.max(0, total - 1))
  return { first, end: Math.min(total, Math.ceil((scrollTop + viewHeight) / rowHeight) + beyond) }
}

/** Returns the pages of a list that hold these rows. */
export const pagesOf = ({ end, first }: Window, pageSize: number): ReadonlyArray<number> => {
  const from = Math.floor(first / pageSize)
  const to = Math.max(from, Math.ceil(end / pageSize) - 1)
  return Array.from({ length: to - from + 1 }, (_, index) => from + index)
}
