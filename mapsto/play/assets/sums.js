// Rows of means and sums below or inside a table, which are no rows of it.

const SUMMARIES = new Map(WORDS.summaries.flatMap(([words, name]) => words.map(word => [word, name])));
const MEASURES = { // by the name of the function that Python takes
  fsum: sum, fmean: mean, median, stdev: deviation, min: lowest, max: highest, len: numbers => numbers.length, "<lambda>": () => NaN,
};

function mean(numbers) {
  return sum(numbers) / numbers.length;
}

/** Return the middle of some numbers. */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.floor(half - 0.5)] + sorted[Math.ceil(half - 0.5)]) / 2;
}

function deviation(numbers) {
  const middle = mean(numbers);
  return Math.sqrt(sum(numbers.map(x => (x - middle) ** 2)) / (numbers.length - 1));
}

/** Return rows without summaries, which stand at the end, or anywhere if the first column holds no other texts. */
function withoutSums(rows) {
  const kept = [...rows];
  while (kept.length > 1 && isSum(kept[kept.length - 1], kept.slice(0, -1))) kept.pop();
  return firstIsNumber(kept) ? kept.filter(row => !isSum(row, kept)) : kept;
}

function firstIsNumber(rows) {
  const first = rows.map(row => row.cells[0]).filter(Boolean);
  return first.length > 2 && first.filter(cell => numberOf(cell) !== null).length > 0.7 * first.length;
}

function isSum(row, others) {
  const place = row.cells.findIndex(Boolean), word = wordOf(row.cells[place] ?? "");
  if (place < 0 || place > 1 || !SUMMARIES.has(word)) return false;
  const same = others.filter(other => other !== row && wordOf(other.cells[place] ?? "") === word).length;
  if (same > 0.1 * others.length) return false;
  const plain = row.cells.length === 2 && row.cells.every(Boolean);
  return !plain || firstIsNumber(others) || sumsUp(row, others.map(other => other.cells[1] ?? ""));
}

const wordOf = text => fold(text).replace(/[:. ]+$/, "");

/** Return the number of a cell, whichever decimal mark it has; null if it is no number. */
function numberOf(text) {
  const parts = partsOf(text), values = parts ? [".", ","].map(mark => valueOf(parts, mark)) : [];
  return values.find(value => !Number.isNaN(value)) ?? null;
}

/** Return whether the second cell is the sum, mean or other summary of a column that the first one names. */
function sumsUp({cells: [word, cell]}, column) {
  const value = numberOf(cell), numbers = column.map(numberOf).filter(number => number !== null);
  if (value === null) return false;
  if (2 * numbers.length < column.length) return true; // a number below words counts them
  const [, decimals = ""] = /^[^.]*\.(.*)$/s.exec(cell.replaceAll(",", ".")) ?? [], digits = [...decimals.replace(/[% ]+$/, "")].length;
  const summary = numbers.length > 1 ? MEASURES[SUMMARIES.get(wordOf(word))](numbers) : NaN;
  return Math.abs(value - summary) <= 0.51 * 10 ** -digits;
}
