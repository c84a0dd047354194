/** A small line of the last numbers of a value. */
import { count } from "../../operations/FigureFormat.ts"

const [width, height] = [120, 22]

export const Sparkline = ({ numbers }: { numbers: ReadonlyArray<number> }) => {
  if (numbers.length < 2) return null
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)]
  const points = numbers.map((number, index) => {
    const x = (index * (width - 2)) / (numbers.length - 1) + 1
    const y = most === least ? height / 2 : height - 2 - ((number - least) * (height - 4)) / (most - least)
    return `${x.toFixed(1)},${y.toFixed(1)}`
  })
  return (
    <svg
      class="sparkline"
      width={width}
      height={height}
      role="img"
      aria-label={`${numbers.length} values from ${count(least)} to ${count(most)}`}
    >
      <polyline points={points.join(" ")} />
    </svg>
  )
}
