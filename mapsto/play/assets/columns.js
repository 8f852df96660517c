// The columns of a person's table: the kind of each is decided once, as mapsto decides it, and later cells are read alike.

const STRAY = 0.1, MANY = 10, NAMES = 10, NEAR = 20 * 365; // days
const [PAIR, TITRE, GENOTYPE] = [whole("pairs", "PAIR"), whole("level_kind", "TITRE"), whole("level_kind", "GENOTYPE")];
const [PADDED, SECONDS, UNIT_OF_NAME] = [whole("number_kind", "PADDED"), whole("number_kind", "SECONDS"), part("columns", "UNIT_OF_NAME")];
const BOOLEANS = new Map([["true", "1"], ["false", "0"], ["1", "true"], ["0", "false"]]);

/** Return columns {name, texts} in which a column of pairs such as 166/58 has become two, as the rows `teaching` show. */
function withoutPairs(columns, teaching) {
  const names = columns.map(({name}) => name);
  return columns.flatMap(({name, texts}) => {
    const there = teaching.map(i => texts[i]).filter(text => text && !isMissing(text));
    const pairs = there.filter(text => PAIR.test(text) && Number.isNaN(daysOf(text)));
    if (!there.length || pairs.length < (1 - STRAY) * there.length || names.includes(`${name} (1)`)) return {name, texts};
    const half = place => texts.map(text => (text && !isMissing(text) ? PAIR.exec(text)?.[place] ?? `${text} (no pair)` : ""));
    return [1, 2].map(place => ({name: `${name} (${place})`, texts: half(place)}));
  });
}

/** Return how each column {name, texts} is read: {kind, levels, read}, where `read` returns the number of a cell. */
function columnsOf(columns, hint, units = new Map()) {
  const counted = columns.map(({texts}) => counts(texts.filter(Boolean))), habits = habitsOf(counted, hint);
  const first = counted.map(cells => columnOf(cells, habits)), lost = new Set();
  first.forEach(({kind}, j) => {
    if (kind === "number" || kind === "date") for (const text of counted[j].keys()) if (isMissing(text)) lost.add(fold(text));
  });
  return columns.map(({name}, j) => {
    const column = first[j].kind === "category" && lost.size ? columnOf(counted[j], {...habits, lost}) : first[j];
    if (column.kind === "number") column.unit ||= UNIT_OF_NAME.exec(name)?.[1] ?? units.get(name) ?? "";
    return column;
  });
}

/** Return the decimal mark and the order of day and month of columns in which only one is possible. */
function habitsOf(columns, hint) {
  const marks = [], orders = [];
  for (const cells of columns) {
    const texts = [...cells.keys()], parts = texts.map(partsOf).filter(Boolean);
    const mark = 2 * parts.length > texts.length ? decimalMark(parts) : null, order = dayFirst(texts);
    if (mark?.sure) marks.push(mark.mark);
    if (order !== null) orders.push(order);
  }
  const first = orders.filter(Boolean).length;
  return {decimal: marks.length ? largest(counts(marks)) : hint, first: orders.length ? 2 * first >= orders.length : null, lost: new Set()};
}

/** Return whether the day comes first in dates such as 13/05/2021, null if both orders fit. */
function dayFirst(texts) {
  const pairs = slashed(texts).filter(([, , sign]) => sign !== "."), above = place => pairs.filter(pair => pair[place] > 12).length;
  return above(0) === above(1) ? null : above(0) > above(1);
}

/** Decide how a column is read, from its different cells and how often each occurs. */
function columnOf(counted, habits) {
  const rest = new Map([...counted].filter(([text]) => !isMissing(text))), total = sum(rest.values());
  const share = chosen => sum(chosen.map(text => rest.get(text))) / Math.max(total, 1);
  const most = chosen => rest.size > 0 && share(chosen) >= 1 - STRAY;
  const enough = chosen => chosen.length > 0 && (most(chosen) || (chosen.length >= MANY && share(chosen) > 2 / 3));
  const kept = new Set([...counted.keys()].map(fold).filter(text => KEPT.has(text)));
  if (!rest.size && kept.size < 2) return absent();
  const evidence = {counted, rest, texts: [...rest.keys()], total, share, most, enough, habits};
  return dates(evidence) ?? steps(evidence) ?? times(evidence) ?? numbers(evidence) ?? words(evidence);
}

const absent = () => ({kind: "absent", levels: [], read: () => NaN});

/** Return a column of numbers or dates, whose cell is missing if it is a word for that. */
const reader = (kind, read, more) => ({kind, levels: [], read: text => (isMissing(text) ? NaN : read(text)), ...more});

function dates({texts, share, enough, habits}) {
  if (texts.length && texts.every(text => !Number.isNaN(compactDays(text)))) {
    const known = texts.map(compactDays), [low, high] = [lowest(known), highest(known)];
    return reader("date", text => numberOr(compactDays(text), numberOr(daysOf(text), near(text, low, high))));
  }
  const marked = texts.filter(text => slashed([text]).some(([, , sign]) => sign !== "."));
  const guess = habits.first ?? (marked.length > 0 && slashed([marked[0]])[0][2] === "-"), first = !marked.length || (dayFirst(texts) ?? guess);
  const read = texts.filter(text => !Number.isNaN(daysOf(text, first))), known = read.map(text => daysOf(text, first));
  if (!read.length) return null;
  const [low, high] = [lowest(known), highest(known)], done = new Set(read);
  const serial = share(read) > WORDS.near ? texts.filter(text => !done.has(text) && !Number.isNaN(near(text, low, high))) : [];
  return enough([...read, ...serial]) ? reader("date", text => numberOr(daysOf(text, first), near(text, low, high))) : null;
}

const numberOr = (number, other) => (Number.isNaN(number) ? other : number);

/** Read a number in place of a date, as spreadsheets write it, if the date lies near the others. */
function near(text, low, high) {
  const day = serialDays(text);
  return low - NEAR <= day && day <= high + NEAR ? day : NaN;
}

function times({texts, rest, most}) {
  const spans = texts.filter(text => !Number.isNaN(secondsOf(text)) || SECONDS.test(text));
  const span = text => numberOr(secondsOf(text), text.endsWith(" s") ? float(text.slice(0, -2)) : NaN);
  if (most(spans) && (spans.length === rest.size || spans.some(text => text.includes("day")))) return reader("number", span, {style: "span", unit: "s"});
  for (const [read, unit] of [[weeksOf, "weeks"], [hoursOf, "h"]])
    if (most(texts.filter(text => !Number.isNaN(read(text))))) return reader("number", read, {style: "time", unit});
  return null;
}

function numbers({texts, rest, enough, habits}) {
  const parts = new Map(texts.map(text => [text, partsOf(text)]).filter(([, part]) => part)), all = [...parts.values()];
  if (!parts.size || (all.some(({digits}) => PADDED.test(digits)) && parts.size < rest.size)) return null; // 01, 02, A1 are codes
  const units = new Map();
  for (const [text, {unit}] of parts) units.set(unit, (units.get(unit) ?? 0) + rest.get(text));
  const bare = units.get("") ?? 0;
  units.delete("");
  const common = commonUnit(units, bare);
  if (!common) return null;
  const mark = decimalMark(all), decimal = !mark ? habits.decimal ?? "." : mark.sure || mark.spread ? mark.mark : habits.decimal ?? mark.mark;
  const column = reader("number", null, {style: "plain", decimal, ...common, ...rangeOf(all, decimal)});
  column.read = text => numberIn(column, text);
  return enough(texts.filter(text => !Number.isNaN(column.read(text)))) ? column : null;
}

/** Return the range of the numbers that are no bounds, and the shift of integers that floats cannot tell apart. */
function rangeOf(parts, decimal) {
  const known = parts.filter(part => !part.bound), measured = known.length ? known : parts;
  const exact = measured.map(part => exactly(part, decimal)), whole = exact.every(number => number !== null);
  const shift = whole ? lowest(exact) : 0n, size = whole ? highest(exact.map(number => (number < 0n ? -number : number))) : 0n;
  if (size > BigInt(EXACTLY)) return {shift, low: 0, high: Number(highest(exact) - shift)};
  const finite = measured.map(part => valueOf(part, decimal)).filter(Number.isFinite);
  return {shift: 0n, low: finite.length ? lowest(finite) : NaN, high: finite.length ? highest(finite) : NaN};
}

function numberIn(column, text) {
  const {unit, spellings, decimal, shift, low, high} = column;
  if (isMissing(text)) return NaN;
  if (text === "True" || text === "False") return [low, high].every(end => end === 0 || end === 1) ? Number(text === "True") : NaN;
  const part = partsOf(text);
  if (!part || !(spellings.has(foldedUnit(part.unit)) || part.unit === unit)) return NaN;
  const value = valueOf(part, decimal), exact = shift ? exactly(part, decimal) : null;
  if (shift) return exact === null ? value - Number(shift) : Number(exact - shift);
  return part.bound && Number.isFinite(value) ? beyond(value, part.bound, numberOr(low, value), numberOr(high, value)) : value;
}

/** Place a bound such as <5 below every number that was seen, or half-way to the least if that is below 5; so is >5. */
function beyond(value, bound, low, high) {
  const step = (high - low) / 20 || Math.abs(high) / 20 || 1;
  if (bound > 0) return high > value ? (Math.max(value, low) + high) / 2 : value + step;
  if (low < value) return (low + Math.min(value, high)) / 2;
  return value > 0 ? value / 2 : value - step;
}
