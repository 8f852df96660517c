// A person's table: reading it, its columns as numbers on the scale of the training rows, and the model's answers.

const MOST_ROWS = 64, MOST_COLUMNS = 10, FAR = 1e6;
const MISSING = new Set(["", "na", "n/a", "nan", "null", "none", "?", "-", "."]);

/** Return the rows of a text in which commas, semicolons or tabs separate the cells. */
function cellsOf(text) {
  const first = text.split(/\r?\n/, 1)[0];
  const mark = ["\t", ";", ","].find(candidate => first.includes(candidate)) ?? ",";
  const rows = [[""]];
  for (let i = 0, quoted = false; i < text.length; i++) {
    const letter = text[i], row = rows[rows.length - 1];
    if (letter === '"') {
      if (quoted && text[i + 1] === '"') row[row.length - 1] += text[++i];
      else quoted = !quoted;
    } else if (!quoted && letter === mark) row.push("");
    else if (!quoted && letter === "\n") rows.push([""]);
    else if (quoted || letter !== "\r") row[row.length - 1] += letter;
  }
  return rows.map(row => row.map(cell => cell.trim())).filter(row => row.some(cell => cell));
}

const missing = text => MISSING.has(text.toLowerCase());

/** Return a column of texts as numbers; the words of the teaching rows are numbered by frequency, NaN is missing. */
function numbered(texts, teaching) {
  const seen = teaching.map(i => texts[i]).filter(text => !missing(text));
  const numeric = seen.every(text => Number.isFinite(Number(text)));
  const count = level => seen.filter(text => text === level).length;
  const natural = (a, b) => a.localeCompare(b, "en", {numeric: true});
  const levels = numeric ? [] : [...new Set(seen)].sort((a, b) => count(b) - count(a) || natural(a, b));
  const read = text => (levels.includes(text) ? levels.indexOf(text) : numeric && !missing(text) ? Number(text) : NaN);
  return {numeric, levels, cells: texts.map(read)};
}

/** Return the middle of some numbers. */
function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b), half = sorted.length / 2;
  return (sorted[Math.floor(half - 0.5)] + sorted[Math.ceil(half - 0.5)]) / 2;
}

/** Return the affine map that keeps a column's numbers moderate; predictions do not depend on it. */
function scaleOf(cells) {
  const seen = cells.filter(Number.isFinite);
  const size = Math.max(...seen.map(Math.abs));
  const middle = median(seen.map(x => x / size));
  const reach = Math.max(...seen.map(x => Math.abs(x / size - middle)));
  return x => clamp((x / size - middle) / reach, -FAR, FAR);
}

/** Return a table with its classes and the columns to read, or the key of a phrase that says why it cannot be read. */
function tableOf(text, target) {
  const [names, ...lines] = cellsOf(text);
  if (!names || names.length < 2 || lines.length < 4) return {error: "unreadable"};
  const outcome = target ?? names.length - 1;
  const labels = lines.map(line => line[outcome] ?? "").map(text => (missing(text) ? "" : text));
  const classes = [...new Set(labels.filter(Boolean))].sort();
  if (classes.length !== 2) return {names, outcome, error: "two_classes"};
  const teaching = [...lines.keys()].filter(i => labels[i]).slice(0, MOST_ROWS);
  const columns = names.map((name, j) => ({name, j, ...numbered(lines.map(line => line[j] ?? ""), teaching)}))
    .filter(({j, cells}) => j !== outcome && new Set(teaching.map(i => cells[i]).filter(Number.isFinite)).size > 1)
    .slice(0, MOST_COLUMNS);
  if (!columns.length) return {names, outcome, error: "no_columns"};
  for (const column of columns) column.scaled = scaleOf(teaching.map(i => column.cells[i]));
  return {names, outcome, lines, labels, classes, teaching, columns};
}

/** Return all coalitions of d columns, and the weights that turn their outcomes into Shapley values. */
function coalitions(d) {
  const masks = new Float32Array(2 ** d * d), weights = new Float32Array(d * 2 ** d), share = [1 / d];
  for (let size = 1; size < d; size++) share.push((share[size - 1] * size) / (d - size));
  for (let c = 0; c < 2 ** d; c++) {
    const present = [...Array(d).keys()].map(j => (c >> j) & 1), size = present.reduce((a, b) => a + b);
    present.forEach((there, j) => {
      masks[c * d + j] = there;
      weights[j * 2 ** d + c] = there ? share[size - 1] : -share[size];
    });
  }
  return {masks: ["float32", masks, [2 ** d, d]], weights: ["float32", weights, [d, 2 ** d]]};
}

/** Return the state of the model after reading the training rows; the row `without` is deleted (its weight is 0). */
async function taught(table, without) {
  const {teaching, columns, labels, classes} = table, n = teaching.length, d = columns.length;
  const rest = teaching.filter(i => i !== without).length;
  const x = Float32Array.from(teaching.flatMap(i => columns.map(column => column.scaled(column.cells[i]))));
  const y = BigInt64Array.from(teaching, i => BigInt(classes.indexOf(labels[i])));
  const w = Float32Array.from(teaching, i => (i === without ? 0 : 1 / rest));
  const state = await run(fitGraph, {x: ["float32", x, [n, d]], y: ["int64", y, [n]], w: ["float32", w, [n]]});
  return {state, plan: coalitions(d)};
}

/** Return the probability of the second class for a row of numbers, its reasons, and their expected errors. */
async function explained(table, {state, plan}, row) {
  const d = row.length;
  const x = Float32Array.from(row, (cell, j) => (Number.isNaN(cell) ? NaN : table.columns[j].scaled(cell)));
  const out = await run(explainGraph, {x: ["float32", x, [1, d]], ...plan, ...state});
  const of = values => row.map((_, j) => values.data[2 * j + 1]);
  const [values, errors] = [of(out.values), of(out.errors)];
  const base = out.base.data[1] / (out.base.data[0] + out.base.data[1]);
  return {base, values, errors, probability: base + values.reduce((a, b) => a + b, 0)};
}
