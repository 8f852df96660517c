// A person's table: its classes, the rows that teach and the columns to read, and the model's answers for a row.

const MOST_ROWS = 200, MOST_COLUMNS = 60, EXACT = 10, FAR = 1e6;
const ORDERS = JSON.parse(document.getElementById("orders").textContent); // of 11, 12, … columns

/** Return a table with its classes and the columns to read; `error` is the key and the values of a phrase about it. */
function tableOf(text, target) {
  const table = {};
  try {
    fill(table, layoutOf(text), target);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    table.error = error.told;
  }
  return table;
}

/** Read the outcome and the columns of a table into `table`; `lines` are the numbers of the lines of its rows. */
function fill(table, {names, rows, units, separator}, target) {
  if (names.length < 2 || rows.length < 4) refuse("unreadable");
  const columns = names.map((name, j) => ({name, texts: rows.map(({cells}) => strip(cells[j]))})), hint = separator === ";" ? "," : null;
  const habits = habitsOf(columns.map(({texts}) => counts(texts.filter(Boolean))), hint), outcomes = columns.map(({texts}) => classesOf(texts, habits));
  const last = outcomes.findLastIndex(({error}) => !error), outcome = target ?? (last < 0 ? names.length - 1 : last);
  Object.assign(table, {names, outcome, lines: rows.map(({line}) => line)});
  const {labels, classes, error} = outcomes[outcome];
  if (error) refuse(error, {name: names[outcome]});
  const teaching = spread([...labels.keys()].filter(i => labels[i]), MOST_ROWS);
  Object.assign(table, {labels, classes, teaching});
  table.columns = columnsToRead(table, withoutPairs(columns.toSpliced(outcome, 1), teaching), hint, units);
}

function columnsToRead({teaching, labels, classes, lines}, columns, hint, units) {
  const read = columnsOf(columns.map(({name, texts}) => ({name, texts: teaching.map(i => texts[i])})), hint, units);
  const all = columns.map((column, j) => ({...column, ...read[j], cells: column.texts.map(read[j].read)}));
  for (const {name, cells} of all) {
    const row = lines[cells.findIndex(cell => Math.abs(cell) === Infinity)];
    if (row) refuse("infinite", {name, row});
  }
  const varying = all.filter(({cells}) => new Set(teaching.map(i => cells[i]).filter(Number.isFinite)).size > 1);
  if (!varying.length) refuse("no_columns");
  const chosen = strongest(varying, teaching, teaching.map(i => classes.indexOf(labels[i])));
  return chosen.map(column => ({...column, scaled: scaleOf(teaching.map(i => column.cells[i]))}));
}

/** Return the class that an answer is about: one called yes, dead or the like, else the rarer of two; −1: the likeliest. */
function positive({classes, labels}) {
  if (classes.length > 2) return -1;
  const named = classes.map((_, c) => c).filter(c => WORDS.positive.includes(fold(classes[c])));
  const many = classes.map(name => labels.filter(label => label === name).length);
  return named.length === 1 ? named[0] : Number(many[1] <= many[0]);
}

/** Return at most so many items, evenly spread. */
function spread(items, most) {
  return items.length <= most ? items : Array.from({length: most}, (_, i) => items[Math.floor((i * items.length) / most)]);
}

/** Return the columns whose ranks the classes explain best, in their order: η², the variance between classes (Fisher 1925). */
function strongest(columns, teaching, y) {
  if (columns.length <= MOST_COLUMNS) return columns;
  const explained = columns.map(({cells}) => {
    const ranks = ranked(teaching.map(i => cells[i])), groups = new Map();
    ranks.forEach((rank, i) => groups.set(y[i], [...(groups.get(y[i]) ?? []), rank]));
    const squares = ranks.reduce((sum, rank) => sum + rank ** 2, 0);
    return [...groups.values()].reduce((sum, of) => sum + of.reduce((a, b) => a + b) ** 2 / of.length, 0) / squares;
  });
  const least = [...explained].sort((a, b) => b - a)[MOST_COLUMNS - 1];
  return columns.filter((_, j) => explained[j] >= least).slice(0, MOST_COLUMNS);
}

/** Return the ranks of numbers around their mean; equal numbers share theirs, and a missing one has 0. */
function ranked(numbers) {
  const seen = numbers.filter(Number.isFinite).sort((a, b) => a - b), middle = (seen.length - 1) / 2;
  return numbers.map(x => (Number.isFinite(x) ? (seen.indexOf(x) + seen.lastIndexOf(x)) / 2 - middle : 0));
}

/** Return the affine map that keeps a column's numbers moderate; predictions do not depend on it. */
function scaleOf(cells) {
  const seen = cells.filter(Number.isFinite);
  const size = Math.max(...seen.map(Math.abs));
  const middle = median(seen.map(x => x / size));
  const reach = Math.max(...seen.map(x => Math.abs(x / size - middle)));
  return x => clamp((x / size - middle) / reach, -FAR, FAR);
}

/** Return coalitions of d columns, and the weights that turn their outcomes into Shapley values. */
function coalitions(d) {
  return planned(d, d <= EXACT ? everyCoalition(d) : alongOrders(d, ORDERS[d - EXACT - 1]));
}

const planned = (d, {masks, weights, count}) => ({masks: ["float32", masks, [count, d]], weights: ["float32", weights, [d, count]]});

function everyCoalition(d) {
  const count = 2 ** d, masks = new Float32Array(count * d), weights = new Float32Array(d * count), share = [1 / d];
  for (let size = 1; size < d; size++) share.push((share[size - 1] * size) / (d - size));
  for (let c = 0; c < count; c++) {
    const present = [...Array(d).keys()].map(j => (c >> j) & 1), size = present.reduce((a, b) => a + b);
    present.forEach((there, j) => {
      masks[c * d + j] = there;
      weights[j * count + c] = there ? share[size - 1] : -share[size];
    });
  }
  return {masks, weights, count};
}

/** Return the coalitions along orders in which the columns join, and along their reverses. */
function alongOrders(d, forward) {
  const orders = [...forward, ...forward.map(order => [...order].reverse())];
  const count = orders.length * (d + 1), masks = new Float32Array(count * d), weights = new Float32Array(d * count);
  orders.forEach((order, o) => order.forEach((j, rank) => {
    const at = o * (d + 1);
    for (let size = rank + 1; size <= d; size++) masks[(at + size) * d + j] = 1;
    weights[j * count + at + rank] = -1 / orders.length;
    weights[j * count + at + rank + 1] = 1 / orders.length;
  }));
  return {masks, weights, count};
}

/** Return the state of the model after reading the training rows; those of `deleted` have weight 0. */
async function taught(table, deleted) {
  const {teaching, columns, labels, classes} = table, n = teaching.length, d = columns.length;
  const rest = teaching.filter(i => !deleted.has(i)).length;
  const x = Float32Array.from(teaching.flatMap(i => columns.map(column => column.scaled(column.cells[i]))));
  const y = BigInt64Array.from(teaching, i => BigInt(classes.indexOf(labels[i])));
  const w = Float32Array.from(teaching, i => (deleted.has(i) ? 0 : 1 / rest));
  const numbers = BigInt64Array.from(classes, (_, c) => BigInt(c));
  const state = await run(fitGraph, {
    x: ["float32", x, [n, d]], y: ["int64", y, [n]], w: ["float32", w, [n]], classes: ["int64", numbers, [classes.length]],
  });
  return {state, plan: coalitions(d)};
}

/** Return, for rows of numbers, the probability of each class, its reasons, and their expected errors. */
async function explained(table, {state, plan}, rows) {
  const [m, d, k] = [rows.length, table.columns.length, table.classes.length];
  const x = Float32Array.from(rows.flat(), (cell, i) => (Number.isNaN(cell) ? NaN : table.columns[i % d].scaled(cell)));
  const out = await run(explainGraph, {x: ["float32", x, [m, d]], ...plan, ...state});
  const part = (tensor, i) => [...tensor.data.slice(k * i, k * (i + 1))];
  return rows.map((row, r) => {
    const [values, errors] = [out.values, out.errors].map(tensor => row.map((_, j) => part(tensor, r * d + j)));
    const prior = part(out.base, r), total = prior.reduce((a, b) => a + b), base = prior.map(p => p / total);
    const probabilities = base.map((p, c) => clamp(values.reduce((sum, v) => sum + v[c], p), 0, 1));
    return {base, values, errors, probabilities};
  });
}

/** Yield, for each teaching row, its number and by how much the probabilities of a row change if it is deleted, too. */
async function* influences(table, deleted, cells, before) {
  const d = table.columns.length, plan = planned(d, alongOrders(d, [[...Array(d).keys()]])); // the sum of the values is exact
  for (const i of table.teaching.filter(i => !deleted.has(i))) {
    const {state} = await taught(table, new Set([...deleted, i]));
    const [{probabilities}] = await explained(table, {state, plan}, [cells]);
    yield [i, probabilities.map((p, c) => p - before[c])];
  }
}
