/** The head of a table: columns of words, and then columns of numbers. */
export const Head = ({
  numbers = [],
  words,
  ...rest
}: {
  words: ReadonlyArray<string>
  numbers?: ReadonlyArray<string>
  class?: string
}) => (
  <thead {...rest}>
    <tr>
      {words.map((word) => (
        <th key={word} scope="col">
          {word}
        </th>
      ))}
      {numbers.map((word) => (
        <th key={word} scope="col" class="number">
          {word}
        </th>
      ))}
    </tr>
  </thead>
)
